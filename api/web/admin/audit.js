// The audit log: who signed in, saw numbers whole, or changed something.
import { html, useState } from "../vendor/preact-htm.js";
import { dayTime, has, t } from "../shared/i18n.js";
import { Choice, Heading, PagedTable, Tag, usePages, Words } from "./parts.js";

export const WHATS = [
  "sign-in", "sign-in-failed", "sign-in-locked", "sign-out", "password", "person-added", "person-changed", "sessions-ended",
  "case", "story", "leg", "handover", "caller", "recording", "message", "message-sound", "topics",
  "legs-export", "cases-export", "ledger-export", "handovers-export", "export-file",
  "order-sent", "order-refused", "deadline-sent", "message-retry", "message-skip", "calendar-day", "calendar-import", "matters-import", "matters-restore", "dialplan-load", "dialplan-rollback",
];
const BAD = new Set(["sign-in-failed", "sign-in-locked", "order-refused"]);
const CHANGES = new Set(["password", "person-added", "person-changed", "sessions-ended", "message-skip", "calendar-day", "calendar-import", "matters-import", "matters-restore", "dialplan-load", "dialplan-rollback"]);
const kind = (what) => (BAD.has(what) ? "bad" : CHANGES.has(what) ? "warn" : "");
const word = (prefix, key) => (has(`${prefix}.${key}`) ? t(`${prefix}.${key}`) : key);

export function Audit() {
  const [query, set] = useState({ q: "", what: "", from: "", to: "" });
  const put = (field) => (value) => set({ ...query, [field]: value });
  const day = (field) => html`<label class="filter"><span>${t(`day.${field}`)}</span>
    <input type="date" value=${query[field]} onChange=${(event) => put(field)(event.target.value)} /></label>`;
  const before = query.from && query.to && query.from > query.to;
  const end = query.to ? nextDay(query.to) : "";
  const list = usePages("/audit", { q: query.q, what: query.what, from: query.from, to: before ? "" : end });
  const columns = [
    ["at", (one) => html`<span class="number">${dayTime(one.at)}</span>`],
    ["who", (one) => one.who],
    ["role", (one) => word("role", one.role)],
    ["what", (one) => html`<${Tag} kind=${kind(one.what)}>${word("what", one.what)}<//>`],
    ["which", (one) => html`<span class="which">${one.which}</span>`],
  ];
  return html`<div class="stack">
    <${Heading} note=${t("audit.note")} tools=${html`<button onClick=${list.again}>${t("refresh")}</button>`}>${t("admin.audit")}<//>
    <div class="card filters">
      <${Words} label=${t("audit.q")} value=${query.q} onChange=${put("q")} />
      <${Choice} label=${t("col.what")} value=${query.what} options=${WHATS.map((one) => [one, word("what", one)])} onChange=${put("what")} />
      ${day("from")}${day("to")}
      ${before && html`<small class="error" role="alert">${t("day.order")}</small>`}
    </div>
    <${PagedTable} label=${t("admin.audit")} list=${list} columns=${columns} rowKey=${(one) => one.id} empty=${t("audit.none")} />
  </div>`;
}

function nextDay(day) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(Date.UTC(year, month - 1, date + 1)).toISOString().slice(0, 10);
}
