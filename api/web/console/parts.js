// What the console's pages are made of: what is loaded, lists by pages, states in words.
import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { errorWords } from "../shared/http.js";
import { t } from "../shared/i18n.js";

export { Choice, Tag, useLoad, usePages } from "../shared/loading.js";

/** Whether somebody may hear sound and change things, and not only read. */
export function acts(who) {
  return who.roles.some((role) => ["agent", "supervisor", "admin"].includes(role));
}

/** What went wrong, and a way to try again. */
export function Trouble({ error, again }) {
  return html`<div class="trouble row" role="alert"><span>${error.code === "offline" ? t("load.offline") : errorWords(error)}</span>
    ${again && html`<button class="small" onClick=${again}>${t("again")}</button>`}</div>`;
}

export function Loading() {
  return html`<p class="quiet loading" role="status">${t("shell.loading")}</p>`;
}

export function Empty({ children }) {
  return html`<p class="empty quiet">${children}</p>`;
}

/** A page's heading, which gets the focus when the page is shown. */
export function Heading({ children, tools }) {
  const place = useRef(null);
  useEffect(() => {
    if (document.activeElement === document.body || document.activeElement?.closest(".tabs")) {
      place.current.focus({ preventScroll: true });
    }
  }, []);
  return html`<div class="spread heading"><h1 ref=${place} tabindex="-1">${children}</h1><div class="row">${tools}</div></div>`;
}

const CHOSEN = "hotline.console.columns.";

function keptColumns(name, columns) {
  try {
    const kept = JSON.parse(localStorage.getItem(CHOSEN + name));
    if (Array.isArray(kept) && kept.every((one) => typeof one === "string")) return kept;
  } catch {
    // nothing is kept, or storage is forbidden: the usual columns
  }
  return columns.filter((one) => !one.more).map((one) => one.key);
}

/** Which of the columns are shown; kept in this browser under the name of the list. */
export function useColumns(name, columns) {
  const [chosen, set] = useState(() => keptColumns(name, columns));
  function choose(keys) {
    set(keys);
    try {
      localStorage.setItem(CHOSEN + name, JSON.stringify(keys));
    } catch {
      // the choice lasts as long as the page
    }
  }
  return [columns.filter((one) => chosen.includes(one.key)), chosen, choose];
}

/** A way to choose the columns of a list. */
export function ColumnChoice({ columns, chosen, choose }) {
  const box = useRef(null);
  useEffect(() => {
    const outside = (event) => {
      if (!box.current.contains(event.target)) box.current.open = false;
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, []);
  function onKeyDown(event) {
    if (event.key !== "Escape") return;
    box.current.open = false;
    box.current.querySelector("summary").focus();
  }
  return html`<details class="columns" ref=${box} onKeyDown=${onKeyDown}><summary>${t("columns")}</summary>
    <fieldset><legend class="sr">${t("columns")}</legend>
      ${columns.map((one) => html`<label class="row" key=${one.key}>
        <input type="checkbox" checked=${chosen.includes(one.key)} disabled=${chosen.length === 1 && chosen.includes(one.key)}
          onChange=${(event) => choose(event.target.checked ? columns.map((c) => c.key).filter((k) => k === one.key || chosen.includes(k)) : chosen.filter((k) => k !== one.key))} />
        ${t(`col.${one.key}`)}</label>`)}
    </fieldset></details>`;
}

/** A table of a list, with what to say while it loads, is empty or failed, and a way to more. */
export function List({ label, list, columns, empty, rowKey }) {
  const { items, next, error, loading, more, again } = list;
  return html`<section class="card list-card" aria-label=${label} aria-busy=${loading ? "true" : "false"}>
    ${error && html`<${Trouble} error=${error} again=${items.length ? more : again} />`}
    ${!!items.length && html`<div class="scroll" tabindex="0" role="group" aria-label=${label}>
      <table class="rows"><caption class="sr">${label}</caption>
        <thead><tr>${columns.map((one) => html`<th scope="col" key=${one.key}>${t(`col.${one.key}`)}</th>`)}</tr></thead>
        <tbody>${items.map((item) => html`<tr key=${rowKey(item)}>
          ${columns.map((one) => html`<td key=${one.key} class=${one.class || ""} data-label=${t(`col.${one.key}`)}>${one.show(item)}</td>`)}</tr>`)}</tbody>
      </table></div>`}
    ${!items.length && loading && html`<${Loading} />`}
    ${!items.length && !loading && !error && html`<${Empty}>${empty}<//>`}
    <p class="row foot quiet small" role="status">
      ${!!items.length && t(next ? "list.some" : "list.all", { n: items.length })}
      ${next && html`<button class="small" disabled=${loading} onClick=${more}>${t(loading ? "shell.loading" : "list.more")}</button>`}
      ${!loading && !error && html`<button class="plain small" onClick=${again}>${t("list.again")}</button>`}
    </p>
  </section>`;
}

/** From one day to another. */
export function Days({ from, to, onChange }) {
  return html`<span class="row days">
    <label class="filter"><span>${t("day.from")}</span><input type="date" value=${from || ""} max=${to || ""}
      onChange=${(event) => onChange({ from: event.target.value, to })} /></label>
    <label class="filter"><span>${t("day.to")}</span><input type="date" value=${to || ""} min=${from || ""}
      onChange=${(event) => onChange({ from, to: event.target.value })} /></label></span>`;
}

/** A text that is told on once somebody has stopped typing for a moment. */
export function Words({ label, value, onChange, wait = 250, placeholder = "" }) {
  const [typed, set] = useState(value || "");
  const timer = useRef(null);
  useEffect(() => set(value || ""), [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return html`<label class="filter"><span>${label}</span><input type="search" value=${typed} placeholder=${placeholder}
    onInput=${(event) => {
      const text = event.target.value;
      set(text);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => onChange(text.trim()), wait);
    }} /></label>`;
}

/** A share, rounded down: 94.96 % does not look like a goal of 95 % that was met. */
export function percent(share) {
  if (share === null || share === undefined) return "–";
  return share === 1 ? "100 %" : `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
}
