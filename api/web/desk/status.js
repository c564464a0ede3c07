// The header's part of the desk: what the agent is doing, and ready, pause, wrap-up, sign-out.
import { html, tellError, useNow, useState } from "../shared/shell.js";
import { duration, pick, t } from "../shared/i18n.js";

const LOOK = { ready: "good", paused: "warn", "wrap-up": "warn", talking: "accent", ringing: "accent", away: "bad" };

export function Status({ desk }) {
  const status = desk.status;
  const state = status ? status.state : "unknown";
  const now = useNow(Boolean(status && (status.since || status.until)));
  const [busy, setBusy] = useState(false);
  if (!desk.me) return null;

  async function act(what, body) {
    if (!desk.live.up) {
      tellError(new Error(t("desk.why.noConnection")));
      return;
    }
    setBusy(true);
    try {
      await desk.act(what, body);
    } catch (error) {
      tellError(error);
    } finally {
      setBusy(false);
    }
  }

  const left = status && status.until ? Math.max(0, (Date.parse(status.until) - now) / 1000) : null;
  const reason = status && status.paused ? pick({ zh: status.reason_zh, en: status.reason_en }) : "";
  const lasts = status && status.since && !left ? duration((now - Date.parse(status.since)) / 1000) : "";
  return html`<span class=${`tag state ${LOOK[state] || ""}`} data-state=${state} aria-live="polite">
      ${left !== null ? t("desk.wrapLeft", { time: duration(left) }) : t(`desk.state.${state}`)}${reason && ` · ${reason}`}
      ${lasts && html`<span class="number" aria-hidden="true"> ${lasts}</span>`}
    </span>
    ${status && status.signed_in && html`
      ${status.paused || state === "wrap-up"
        ? html`<button class="small primary" disabled=${busy} onClick=${() => act("resume")}>${state === "wrap-up" ? t("desk.wrapEnd") : t("desk.resume")}</button>`
        : null}
      <select class="pause" aria-label=${t("desk.pauseWhy")} disabled=${busy} value=""
        onChange=${(event) => {
          const code = event.target.value;
          event.target.value = "";
          if (code) act("pause", { reason: code });
        }}>
        <option value="">${t("desk.pause")}…</option>
        ${desk.reasons.map((one) => html`<option value=${one.code} key=${one.code}>${pick(one)}</option>`)}
      </select>
      <button class="small" disabled=${busy} onClick=${() => act("sign-out")}>${t("desk.signOut")}</button>
      <span class="quiet small">${t("desk.taken", { n: status.calls_taken })}</span>`}`;
}
