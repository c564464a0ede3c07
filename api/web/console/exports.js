// Exports: ask for one, see how far it is, fetch the file, take it back.
import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { http, Problem } from "../shared/http.js";
import { dayTime, has, lang, t } from "../shared/i18n.js";
import { Field, tell, tellError } from "../shared/shell.js";
import { day, span } from "./filters.js";
import { acts, Empty, Heading, Loading, Tag, Trouble } from "./parts.js";

const RUNNING = new Set(["queued", "running"]);
const KIND = { done: "good", failed: "bad", running: "accent", queued: "accent" };

/** The list of exports, anew every second while one is being made. */
function useExports() {
  const [state, set] = useState({ items: null, error: null });
  const [round, next] = useState(0);
  useEffect(() => {
    const ending = new AbortController();
    let timer = null;
    http.get("/exports", { limit: 50 }, { signal: ending.signal }).then(
      (page) => {
        set({ items: page.items, error: null });
        timer = setTimeout(() => next((n) => n + 1), page.items.some((one) => RUNNING.has(one.state)) ? 1000 : 30000);
      },
      (error) => {
        if (ending.signal.aborted) return;
        set((old) => ({ ...old, error }));
        timer = setTimeout(() => next((n) => n + 1), 5000);
      },
    );
    return () => {
      ending.abort();
      clearTimeout(timer);
    };
  }, [round]);
  return { ...state, again: () => next((n) => n + 1) };
}

export function Exports({ query, who }) {
  const list = useExports();
  return html`<div class="stack"><${Heading}>${t("page.exports")}<//>
    <div class="export-grid">${acts(who) ? html`<${Ask} query=${query} onAsked=${list.again} />` : html`<section class="card"><${Empty}>${t("exports.notYours")}<//></section>`}<${Jobs} list=${list} /></div></div>`;
}

const WHAT = ["legs", "cases", "handovers", "ledger"];
const FORM = new Set(["what", "from", "to", "sort"]);

/** query: the filters of the list from which somebody came, which the export keeps. */
function Ask({ query, onAsked }) {
  const now = Date.now();
  const came = WHAT.includes(query.what);
  const [form, setForm] = useState({
    what: came ? query.what : "legs", from: query.from || (came ? "" : day(now, -30)), to: query.to || (came ? "" : day(now)),
    format: "xlsx", headings: lang(), bom: true,
  });
  const [kept, keep] = useState(Object.entries(query).filter(([key]) => !FORM.has(key)));
  const [errors, setErrors] = useState({});
  const [busy, setBusy] = useState(false);
  const put = (name) => (event) => {
    if (name === "what") keep([]); // another table has other filters
    setForm({ ...form, [name]: event.target.type === "checkbox" ? event.target.checked : event.target.value });
  };
  async function send(event) {
    event.preventDefault();
    if (form.from && form.to && form.from > form.to) {
      setErrors({ to: t("day.order") });
      return;
    }
    setErrors({});
    setBusy(true);
    try {
      const { what, from, to, format, headings } = form;
      await http.post("/exports", { what, filters: { ...filtersOf(kept), ...span(from, to) }, format, headings, bom: form.bom && format === "csv" });
      tell(t("exports.begun"), "good");
      onAsked();
    } catch (error) {
      tellError(error);
      if (error instanceof Problem) setErrors(Object.fromEntries(Object.entries(error.fields).map(([field, words]) => [field.split(".").pop(), words])));
    } finally {
      setBusy(false);
    }
  }
  const select = (name, options) => html`<select value=${form[name]} onChange=${put(name)}>${options.map((one) => html`<option value=${one} key=${one}>${t(`exports.${name}.${one}`)}</option>`)}</select>`;
  return html`<section class="card" aria-labelledby="ask-title"><h2 id="ask-title">${t("exports.new")}</h2>
    <form class="stack" novalidate onSubmit=${send}>
      <${Field} label=${t("exports.what")} error=${errors.what}>${select("what", WHAT)}<//>
      ${!!kept.length && html`<ul class="row chips" aria-label=${t("search.chosen")}>${kept.map(([key, value]) => html`<li key=${key}><button type="button" class="chip"
        aria-label=${t("search.remove", { what: `${t(`field.${key}`)} ${value}` })} onClick=${() => keep(kept.filter(([other]) => other !== key))}>${t(`field.${key}`)} <b>${filterWords(form.what, key, value)}</b> ×</button></li>`)}</ul>`}
      <div class="form-grid">
        <${Field} label=${t("day.from")} error=${errors.from}><input type="date" value=${form.from} onInput=${put("from")} /><//>
        <${Field} label=${t("day.to")} error=${errors.to}><input type="date" value=${form.to} onInput=${put("to")} /><//>
        <${Field} label=${t("exports.as")} error=${errors.format}>${select("format", ["xlsx", "csv", "parquet"])}<//>
        <${Field} label=${t("exports.heads")} error=${errors.headings}>${select("headings", ["zh", "en", "names"])}<//>
      </div>
      ${form.format === "csv" && html`<label class="row"><input type="checkbox" checked=${form.bom} onChange=${put("bom")} /> ${t("exports.excel")}</label>`}
      <p class="small quiet">${t("exports.audit")}</p>
      <button class="primary" type="submit" disabled=${busy}>${t("exports.begin")}</button>
    </form></section>`;
}

/** A filter as people read it. */
function filterWords(what, key, value) {
  const word = { late: value === "true" ? "late.yes" : "late.no", kind: `kind.${value}`, role: `role.${value}`, state: `${what === "cases" ? "case" : "handover"}.${value}` }[key];
  return word && has(word) ? t(word) : value;
}

function filtersOf(kept) {
  return Object.fromEntries(kept.map(([key, value]) => [key, key === "late" ? value === "true" : value]));
}

function Jobs({ list }) {
  async function cancel(one) {
    try {
      await http.del(`/exports/${encodeURIComponent(one.id)}`);
      list.again();
    } catch (error) {
      tellError(error);
    }
  }
  return html`<section class="card" aria-labelledby="jobs-title"><h2 id="jobs-title">${t("exports.all")}</h2>
    ${list.error && html`<${Trouble} error=${list.error} again=${list.again} />`}
    ${!list.items ? !list.error && html`<${Loading} />` : !list.items.length ? html`<${Empty}>${t("exports.none")}<//>`
      : html`<ul class="list" data-part="exports">${list.items.map((one) => html`<li key=${one.id} data-state=${one.state}>
        <div class="spread"><span><b>${t(`exports.what.${one.what}`)}</b> <span class="quiet small">${one.format} · ${dayTime(one.asked_at)} · ${one.asked_by}</span></span>
          <${Tag} kind=${KIND[one.state] || ""}>${t(`export.${one.state}`)}<//></div>
        ${RUNNING.has(one.state) && html`<div class="row"><progress max=${one.rows || 1} value=${one.rows === null ? undefined : one.rows_done} aria-label=${t("exports.progress")}></progress>
          <span class="number small">${one.rows === null ? t("exports.counting") : t("exports.rows", { done: one.rows_done, all: one.rows })}</span></div>`}
        ${one.state === "failed" && html`<p class="error small">${has(`problem.${one.code}`) ? t(`problem.${one.code}`, one) : one.detail || one.code}</p>`}
        <div class="row">
          ${one.file && html`<a class="button" href=${one.file} download=${one.name}>${t("exports.fetch", { rows: one.rows_done, size: size(one.bytes) })}</a>`}
          ${(RUNNING.has(one.state) || one.file) && html`<button class="small" onClick=${() => cancel(one)}>${t(one.file ? "exports.delete" : "exports.cancel")}</button>`}
          ${one.expires_at && one.file && html`<span class="small quiet">${t("exports.until", { at: dayTime(one.expires_at) })}</span>`}
        </div></li>`)}</ul>`}
  </section>`;
}

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1048576 ? `${Math.round(bytes / 1024)} kB` : `${(bytes / 1048576).toFixed(1)} MB`;
}
