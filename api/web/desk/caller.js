// Who is on the line: number, place, line, waiting time; what they called about before and who has it.
import { html, useEffect, useNow, useState } from "../shared/shell.js";
import { dayTime, duration, t, word } from "../shared/i18n.js";
import { errorWords, http } from "../shared/http.js";
import { deskName } from "./keys.js";

const STATES = { held: "held", "three-way": "three", "handing-over": "handing" };
const AGAIN_MS = 1500;

/** What the server knows about the caller of a call; asked anew until the call's own case is on record. */
function useCaller(call) {
  const [caller, setCaller] = useState(null);
  const id = call && call.id;
  useEffect(() => {
    setCaller(null);
    if (!id) return undefined;
    let timer;
    let wanted = true;
    async function ask() {
      try {
        const found = await http.get(`/desk/callers/${encodeURIComponent(id)}`);
        if (!wanted) return;
        setCaller(found);
        if (!found.own_case) timer = setTimeout(ask, AGAIN_MS);
      } catch (error) {
        if (!wanted || error.code === "call-not-found") return;
        setCaller({ failed: errorWords(error), before: [] });
        timer = setTimeout(ask, 2 * AGAIN_MS);
      }
    }
    ask();
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [id]);
  return caller;
}

export function CallerCard({ desk }) {
  const call = desk.call;
  const doing = desk.doing;
  const now = useNow(doing !== "none");
  const caller = useCaller(call);
  if (doing === "none" && !call) return html`<${Idle} desk=${desk} />`;
  const leg = call && desk.leg(call);
  const ringing = doing === "ringing";
  const alone = call && !ringing && !desk.hasCitizen(call);
  const state = ringing ? "incoming" : STATES[call && call.state] || "talking";
  const number = alone ? t("desk.call.noCitizen") : (call && call.caller) || t("desk.call.unknown");
  const started = call && call.started_at ? (now - Date.parse(call.started_at)) / 1000 : null;
  return html`<section class=${`card caller ${ringing ? "rings" : ""}`} aria-label=${t(`desk.call.${state}`)} data-call=${doing}>
    <p class="spread"><span class="tag accent" role="status">${t(`desk.call.${state}`)}</span>
      ${started !== null && html`<span class="number quiet">${ringing ? t("desk.call.waited") : t("desk.call.lasts")} ${duration(started)}</span>`}</p>
    <p class="number big" data-number>${number}</p>
    ${call && call.nuisance && html`<p class="tag warn">${t("desk.call.nuisance", { ...call.nuisance, kind: word("nuisance", call.nuisance.kind) })}</p>`}
    <dl class="facts">
      ${caller && caller.place_zh && html`<dt>${t("desk.call.place")}</dt><dd>${document.documentElement.lang === "en" ? caller.place_en || caller.place_zh : caller.place_zh}</dd>`}
      <dt>${t("desk.call.line")}</dt><dd>${(caller && (caller.line_name || caller.line)) || desk.mine.line}</dd>
      ${call && call.handed_over_by && html`<dt>${t("desk.call.from")}</dt><dd>${call.handed_over_by}</dd>`}
      ${call && call.their_case && html`<dt>${t("desk.call.theirs")}</dt><dd class="mono">${call.their_case}</dd>`}
      ${call && call.case && html`<dt>${t("desk.call.case")}</dt><dd class="mono small">${call.case}</dd>`}
    </dl>
    ${leg && html`<${Before} caller=${caller} desk=${desk} />`}
  </section>`;
}

function Idle({ desk }) {
  const state = desk.status ? desk.status.state : "unknown";
  const hint = { ready: "waitReady", paused: "pausedHint", "signed-out": "notReady" }[state] || "none";
  return html`<section class="card caller idle" data-call="none" aria-label=${t("desk.call.none")}>
    <p class="quiet">${t(`desk.call.${hint}`)}</p></section>`;
}

function Before({ caller, desk }) {
  if (caller === null) return html`<p class="quiet small">${t("desk.before.loading")}</p>`;
  if (caller.failed) return html`<p class="error small">${t("desk.before.failed", { why: caller.failed })}</p>`;
  return html`<div class="before">
    <h3>${t("desk.before.title")} ${caller.open_before > 0 && html`<span class="tag warn">${t("desk.before.open", { n: caller.open_before })}</span>`}</h3>
    ${caller.before.length === 0 && html`<p class="quiet small">${t("desk.before.none")}</p>`}
    <ul class="list small">${caller.before.map((one) => html`<li key=${one.case}>
      <span class="spread"><strong>${one.kind ? `${word("kind", one.kind)} · ` : ""}${one.matter || t("desk.before.noMatter")}</strong>
        <span class=${`tag ${one.state === "closed" || one.state === "merged" ? "" : "warn"}`}>${t(`desk.case.${one.state}`)}</span></span>
      <span class="quiet">${dayTime(one.opened_at)} · ${t("desk.case.holder", { who: one.owner ? deskName(desk, one.owner) : t("desk.before.nobody") })}
        ${one.late && html` <span class="tag bad">${t("desk.case.late")}</span>`}</span>
    </li>`)}</ul>
  </div>`;
}
