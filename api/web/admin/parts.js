// What the admin pages are made of: what is loaded, tables, questions before something is done.
import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { errorWords } from "../shared/http.js";
import { t } from "../shared/i18n.js";
import { Dialog, tell, tellError } from "../shared/shell.js";

export { Choice, Tag, useLoad, usePages } from "../shared/loading.js";

export function Loading() {
  return html`<p class="quiet wait" role="status">${t("shell.loading")}</p>`;
}

/** What went wrong, and a way to try again. */
export function Trouble({ error, again }) {
  return html`<div class="trouble row" role="alert"><span>${errorWords(error)}</span>
    ${again && html`<button class="small" onClick=${again}>${t("again")}</button>`}</div>`;
}

/** A page's heading; it gets the focus when one came here by the tabs. */
export function Heading({ children, tools, note }) {
  const place = useRef(null);
  useEffect(() => {
    if (document.activeElement?.closest(".tabs")) place.current.focus({ preventScroll: true });
  }, []);
  return html`<div class="heading"><div class="spread"><h1 ref=${place} tabindex="-1">${children}</h1>
    <div class="row">${tools}</div></div>${note && html`<p class="quiet small">${note}</p>`}</div>`;
}

/** A table: columns are [key, show, class?]; headings are the words of col.<key>. */
export function Table({ label, columns, rows, rowKey, empty }) {
  if (!rows.length) return html`<p class="quiet wait">${empty || t("nothing")}</p>`;
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${label}>
    <table class="rows"><caption class="sr">${label}</caption>
      <thead><tr>${columns.map(([key]) => html`<th scope="col" key=${key}>${key === "do" ? html`<span class="sr">${t("col.do")}</span>` : t(`col.${key}`)}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${rowKey(row)}>
        ${columns.map(([key, show, more = ""]) => html`<td key=${key} class=${more}>${show(row)}</td>`)}</tr>`)}</tbody>
    </table></div>`;
}

/** A list by parts as a table, with what to say while it loads and a way to more of it. */
export function PagedTable({ list, ...table }) {
  const { items, next, error, loading, more, again } = list;
  return html`<section class="card list-card" aria-label=${table.label} aria-busy=${loading ? "true" : "false"}>
    ${error && html`<${Trouble} error=${error} again=${items.length ? more : again} />`}
    ${!items.length && loading ? html`<${Loading} />` : !error || items.length ? html`<${Table} ...${table} rows=${items} />` : null}
    ${!!items.length && html`<p class="row foot quiet small" role="status">${t(next ? "list.some" : "list.all", { n: items.length })}
      ${next && html`<button class="small" disabled=${loading} onClick=${more}>${t("list.more")}</button>`}</p>`}
  </section>`;
}

/** A question before something is done: go() does it; what goes wrong is said in it. */
export function Ask({ title, text, word, danger, go, done, onClose, children, ready = true }) {
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  async function run(event) {
    event.preventDefault();
    if (busy || !ready) return;
    setBusy(true);
    setError(null);
    try {
      const result = await go();
      onClose();
      if (done) done(result);
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form class="stack" onSubmit=${run} novalidate>
      ${text && html`<p>${text}</p>`}
      ${children}
      ${error && html`<${Trouble} error=${error} />`}
      <div class="row ends"><button type="button" onClick=${onClose}>${t("cancel")}</button>
        <button class=${danger ? "danger" : "primary"} aria-disabled=${busy || !ready ? "true" : undefined}>${busy ? t("doing") : word}</button></div>
    </form>
  <//>`;
}

/** Do something at once, and say what came of it. */
export async function doNow(work, said) {
  try {
    const result = await work();
    if (said) tell(said, "good");
    return result;
  } catch (error) {
    tellError(error);
    return undefined;
  }
}

/** A text that is told on once somebody has stopped typing for a moment. */
export function Words({ label, value, onChange, type = "search" }) {
  const [typed, set] = useState(value);
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  return html`<label class="filter"><span>${label}</span><input type=${type} value=${typed}
    onInput=${(event) => {
      const text = event.target.value;
      set(text);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => onChange(text.trim()), 300);
    }} /></label>`;
}

/** A choice of a file, which is read at once: onFile({name, type, data}). */
export function FileChoice({ label, hint, accept, onFile }) {
  const input = useRef(null);
  async function chosen() {
    const [file] = input.current.files;
    if (!file) return;
    onFile({ name: file.name, data: await file.arrayBuffer() });
    input.current.value = ""; // the same file, mended, may be chosen again
  }
  return html`<div class="field"><label for="file">${label}</label>
    <input id="file" type="file" ref=${input} accept=${accept} onChange=${chosen} aria-describedby="file-say" />
    <small id="file-say" class="hint">${hint}</small></div>`;
}
