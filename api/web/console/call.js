// One call on record: the time line of its legs, found from any of them.
import { html } from "../vendor/preact-htm.js";
import { dayTime, t } from "../shared/i18n.js";
import { Heading, Loading, Trouble, useLoad } from "./parts.js";
import { link } from "./route.js";
import { Timeline } from "./timeline.js";

export function Call({ parts, names }) {
  const [pbx = "", uniqueid = ""] = parts;
  const found = useLoad(`/legs/${encodeURIComponent(pbx)}/${encodeURIComponent(uniqueid)}/call`);
  const legs = found.data ? found.data.items : [];
  const cases = [...new Set(legs.map((leg) => leg.case).filter(Boolean))];
  const first = legs[0];
  return html`<div class="stack">
    <${Heading} tools=${cases.map((id) => html`<a class="button" key=${id} href=${link("case", [id])}>${t("case")} ${id}</a>`)}>
      ${t("page.call")} ${first ? html`<span class="number">${dayTime(first.started_at || first.ended_at)}</span>` : uniqueid}<//>
    <section class="card">${found.error ? html`<${Trouble} error=${found.error} again=${found.again} />` : !found.data ? html`<${Loading} />`
      : html`<${Timeline} id=${found.data.linkedid} legs=${legs} names=${names} />`}</section>
  </div>`;
}
