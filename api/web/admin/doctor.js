// What the doctor finds: what is wrong, what it means for callers, what to do.
import { html, useState } from "../vendor/preact-htm.js";
import { http } from "../shared/http.js";
import { dayTime, has, pick, t } from "../shared/i18n.js";
import { Choice, Heading, Loading, Tag, Trouble, useLoad } from "./parts.js";

const KINDS = { ok: "good", warning: "warn", wrong: "bad" };
const ORDER = ["wrong", "warning", "ok"];

export function Doctor({ may }) {
  const [pbx, setPbx] = useState("");
  const last = useLoad("/doctor", { pbx });
  const [now, setNow] = useState({ data: null, error: null, busy: false });
  const sites = useLoad("/pbxs");
  async function look() {
    if (now.busy) return;
    setNow({ ...now, busy: true });
    try {
      const data = await http.post(`/doctor${pbx ? `?pbx=${encodeURIComponent(pbx)}` : ""}`, undefined, { signal: AbortSignal.timeout(60000) });
      setNow({ data, error: null, busy: false });
    } catch (error) {
      setNow({ data: null, error, busy: false });
    }
  }
  const data = now.data?.pbx === last.data?.pbx && now.data ? now.data : last.data;
  const error = now.error || last.error;
  const names = (sites.data?.items || []).map((one) => one.name);
  const sorted = data ? [...data.checks].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state)) : [];
  const count = (state) => sorted.filter((one) => one.state === state).length;
  return html`<div class="stack" aria-busy=${now.busy ? "true" : "false"}>
    <${Heading} note=${t("doctor.note")} tools=${html`
      ${names.length > 1 && html`<${Choice} label="PBX" value=${pbx} all=${names[0]} options=${names.slice(1).map((one) => [one, one])} onChange=${setPbx} />`}
      ${may && html`<button class="primary" aria-disabled=${now.busy ? "true" : undefined} onClick=${look}>${t(now.busy ? "doctor.looking" : "doctor.again")}</button>`}`}>${t("admin.doctor")}<//>
    ${error && html`<${Trouble} error=${error} again=${now.error ? look : last.again} />`}
    ${now.busy && html`<p class="card" role="status">${t("doctor.wait")}</p>`}
    ${!data && last.loading && html`<${Loading} />`}
    ${data && !data.at && !now.busy && html`<p class="card" role="status">${t("doctor.not-yet")}</p>`}
    ${data?.at && html`<p class="card spread" role="status"><span class="row">${ORDER.map((state) => html`<${Tag} key=${state} kind=${KINDS[state]}>${t(`doctor.state.${state}`)} ${count(state)}<//>`)}</span>
      <span class="quiet small">${data.pbx} · <span class="number">${dayTime(data.at)}</span></span></p>
      <ul class="card list checks">${sorted.map((one) => html`<li key=${one.name} data-check=${one.name}>
        <div class="row"><${Tag} kind=${KINDS[one.state]}>${t(`doctor.state.${one.state}`)}<//>
          <strong>${has(`doctor.${one.name}`) ? t(`doctor.${one.name}`) : one.name}</strong>
          <span lang="en">${one.found}</span></div>
        ${one.state !== "ok" && html`<p class="quiet small">${pick({ zh: one.means_zh, en: one.means })}</p>`}
        ${one.todo && html`<p class="small todo">→ ${pick({ zh: one.todo_zh, en: one.todo })}</p>`}</li>`)}</ul>`}
  </div>`;
}
