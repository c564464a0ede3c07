// Charts of the figures: by day, matter, desk, department, outcome; each with its table, each savable.
import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { has, t } from "../shared/i18n.js";
import { tellError, useEvents } from "../shared/shell.js";
import { day } from "./filters.js";
import { partyName } from "./names.js";
import { Choice, Days, Empty, Heading, Loading, Trouble, useLoad } from "./parts.js";
import { refine } from "./route.js";

const MOST = 15;

export function Charts({ query, parts, names }) {
  const from = query.from || day(Date.now(), -29);
  const to = query.to || day(Date.now());
  const by = query.by || "day";
  const set = (more) => refine("charts", parts, { ...query, ...more });
  const ask = (group) => useLoad("/figures", { from, to, by, group });
  const all = ask("all");
  const matter = ask("matter");
  const desk = ask("desk");
  const department = ask("department");
  const periods = all.data ? [...all.data.items].sort((a, b) => a.period.localeCompare(b.period)) : [];
  return html`<div class="stack"><${Heading} tools=${html`<a class="button" href=${`/api/v1/figures/report/${to.slice(0, 7)}`} target="_blank" rel="noopener">${t("charts.report", { month: to.slice(0, 7) })}</a>`}>${t("page.charts")}<//>
    <div class="card filters">
      <${Choice} label=${t("charts.by")} value=${by} all=${null} options=${["day", "week", "month"].map((one) => [one, t(`charts.by.${one}`)])} onChange=${(value) => set({ by: value })} />
      <${Days} from=${from} to=${to} onChange=${set} />
      ${all.data && html`<p class="small quiet">${all.data.as_of ? t("charts.asOf", { at: new Date(all.data.as_of).toLocaleString("zh-CN", { timeZone: "Asia/Shanghai", hour12: false }) }) : ""}
        ${all.data.days_waiting ? t("charts.waiting", { n: all.data.days_waiting }) : ""}</p>`}
    </div>
    <div class="chart-grid">
      <${Card} name="calls" load=${all} kind="bar" stacked=${true} labels=${periods.map((one) => one.period)} series=${[
        ["answered", periods.map((one) => one.answered), "good"], ["abandoned", periods.map((one) => one.abandoned), "bad"],
        ["after_hours", periods.map((one) => one.after_hours), "line-strong"]]} />
      <${Card} name="rates" load=${all} kind="line" unit="%" max=${100} goal=${95} labels=${periods.map((one) => one.period)} series=${[
        ["connect_rate", periods.map((one) => share(one.connect_rate)), "accent"], ["in_time", periods.map((one) => share(one.answered_in_time_share)), "good"]]} />
      <${Ranked} name="matters" load=${matter} label=${(id) => names.matter(id)} value=${(one) => one.calls} what="calls" />
      <${Ranked} name="departments" load=${department} label=${(id) => id} value=${(one) => one.talks} what="talks" />
      <${Desks} load=${desk} names=${names} />
      <${Outcomes} load=${all} />
    </div></div>`;
}

const share = (value) => (value === null ? null : Math.round(value * 1000) / 10);
const sum = (outcomes) => Object.values(outcomes).reduce((all, n) => all + n, 0);
const outcome = (state) => (has(`handover.${state}`) ? t(`handover.${state}`) : state);

function Ranked({ name, load, label, value, what }) {
  const rows = Object.entries(load.data ? load.data.totals : {}).map(([id, figures]) => [id ? label(id) : t("charts.none"), value(figures)])
    .filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
  return html`<${Card} name=${name} load=${load} kind="across" labels=${rows.map(([text]) => text)} series=${[[what, rows.map(([, n]) => n), "accent"]]} />`;
}

function Desks({ load, names }) {
  const rows = Object.entries(load.data ? load.data.totals : {}).filter(([id]) => id).map(([id, figures]) => [partyName(id, names), figures.handovers])
    .filter(([, handovers]) => sum(handovers)).sort((a, b) => sum(b[1]) - sum(a[1]));
  const accepted = rows.map(([, handovers]) => handovers.accepted || 0);
  return html`<${Card} name="desks" load=${load} kind="across" stacked=${true} labels=${rows.map(([text]) => text)} series=${[
    ["accepted", accepted, "good"], ["not_accepted", rows.map(([, handovers], index) => sum(handovers) - accepted[index]), "bad"]]} />`;
}

function Outcomes({ load }) {
  const totals = load.data ? load.data.totals[""] || Object.values(load.data.totals)[0] : null;
  const rows = Object.entries(totals ? totals.handovers : {}).filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
  return html`<${Card} name="outcomes" load=${load} kind="across" labels=${rows.map(([state]) => outcome(state))} series=${[["handovers", rows.map(([, n]) => n), "accent"]]} />`;
}

/** A chart with its title, its table, and a button that saves it as a picture. */
function Card({ name, load, kind, labels, series, stacked = false, unit = "", max, goal }) {
  const place = useRef(null);
  const drawn = useRef(null);
  const [shown, setShown] = useState(0);
  useEvents(window, "hotline:lang", "hotline:theme");
  const title = t(`chart.${name}`);
  const cut = kind === "across" ? MOST : Infinity;
  const few = { labels: labels.slice(0, cut), series: series.map(([key, values, colour]) => ({ name: t(`measure.${key}`), values: values.slice(0, cut), colour })) };
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const again = () => setShown((n) => n + 1);
    dark.addEventListener("change", again);
    return () => dark.removeEventListener("change", again);
  }, []);
  useEffect(() => {
    let gone = false;
    if (!place.current) return undefined;
    import("./drawing.js").then(({ draw }) => {
      if (gone) return;
      drawn.current = draw(place.current, { title, kind, stacked, unit, max, goal, ...few });
    }).catch(tellError);
    return () => {
      gone = true;
      if (drawn.current) drawn.current.destroy();
      drawn.current = null;
    };
  }, [JSON.stringify([few, title, shown, document.documentElement.dataset.theme])]);
  async function save() {
    try {
      const { picture } = await import("./drawing.js");
      await picture(drawn.current, `${title}.png`);
    } catch (error) {
      tellError(error);
    }
  }
  return html`<section class="card chart" aria-label=${title} data-chart=${name}><h2 class="spread"><span>${title}</span>
      ${!!labels.length && html`<button class="plain small" onClick=${save}>${t("charts.save")}<span class="sr"> ${title}</span></button>`}</h2>
    ${load.error ? html`<${Trouble} error=${load.error} again=${load.again} />` : !load.data ? html`<${Loading} />` : !labels.length ? html`<${Empty}>${t("charts.empty")}<//>`
      : html`<div class=${`canvas ${kind} ${few.labels.length <= 3 ? "few" : ""}`}><canvas ref=${place} role="img" aria-label=${t("charts.says", { title })}></canvas></div>
        <details><summary>${t("line.table")}</summary><div class="scroll" tabindex="0" role="group" aria-label=${title}><table><caption class="sr">${title}</caption>
          <thead><tr><th scope="col">${t(kind === "across" ? "charts.which" : "charts.period")}</th>${series.map(([key]) => html`<th scope="col" key=${key}>${t(`measure.${key}`)}</th>`)}</tr></thead>
          <tbody>${labels.map((label, index) => html`<tr key=${label}><th scope="row">${label}</th>${series.map(([key, values]) => html`<td key=${key} class="number">${values[index] ?? "–"}${values[index] !== null && unit ? ` ${unit}` : ""}</td>`)}</tr>`)}</tbody></table></div></details>`}
  </section>`;
}
