// What rose: matters and words against the four stretches before, and who called again and again.
import { html } from "../vendor/preact-htm.js";
import { t } from "../shared/i18n.js";
import { day } from "./filters.js";
import { Days, Empty, Heading, Loading, Tag, Trouble, useLoad } from "./parts.js";
import { link, refine } from "./route.js";

export function Topics({ query, parts, names }) {
  const from = query.from || day(Date.now(), -6);
  const to = query.to || day(Date.now());
  const found = useLoad("/figures/topics", { from, to });
  const set = (more) => refine("topics", parts, { ...query, ...more });
  const months = [0, 1, 2].map((back) => {
    const [year, month] = day(Date.now()).split("-").map(Number);
    return new Date(Date.UTC(year, month - 1 - back, 1)).toISOString().slice(0, 7);
  });
  return html`<div class="stack"><${Heading}>${t("page.topics")}<//>
    <div class="card filters"><${Days} from=${from} to=${to} onChange=${set} />
      <p class="row">${t("topics.reports")} ${months.map((month) => html`<a class="button" key=${month} href=${`/api/v1/figures/report/${month}`} target="_blank" rel="noopener">${month}</a>`)}</p></div>
    ${found.error ? html`<div class="card"><${Trouble} error=${found.error} again=${found.again} /></div>` : !found.data ? html`<${Loading} />` : html`<div class="topic-grid">
      <${Rises} title=${t("topics.matters")} rows=${found.data.matters} label=${(name) => names.matter(name)} href=${(name) => link("cases", [], { matter: name, from, to })} />
      <${Rises} title=${t("topics.words")} rows=${found.data.words} label=${(name) => name} />
      <section class="card" aria-label=${t("topics.callers")}><h2>${t("topics.callers")}</h2>${found.data.callers.length ? html`<ul class="list">${found.data.callers.map((one) => html`<li class="spread" key=${one.number}>
        <a class="number" href=${link("cases", [], { caller: one.number })}>${one.number}</a><span class="number">${t("topics.times", { n: one.calls })}</span></li>`)}</ul>` : html`<${Empty}>${t("topics.none")}<//>`}</section>
    </div>`}</div>`;
}

function Rises({ title, rows, label, href }) {
  return html`<section class="card" aria-label=${title}><h2>${title}</h2>
    ${rows.length ? html`<table><caption class="sr">${title}</caption><thead><tr><th scope="col">${t("topics.what")}</th><th scope="col">${t("topics.now")}</th><th scope="col">${t("topics.before")}</th><th scope="col">${t("topics.factor")}</th></tr></thead>
      <tbody>${rows.map((one) => html`<tr key=${one.name}><th scope="row">${href ? html`<a href=${href(one.name)}>${label(one.name)}</a>` : label(one.name)}</th><td>${one.now}</td><td>${one.before.toFixed(1)}</td>
        <td><${Tag} kind="warn">× ${one.factor.toFixed(1)}<//></td></tr>`)}</tbody></table>` : html`<${Empty}>${t("topics.none")}<//>`}
  </section>`;
}
