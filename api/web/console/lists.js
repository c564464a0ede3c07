// Lists of the record: legs, cases, hand-overs.
import { html } from "../vendor/preact-htm.js";
import { dayTime, duration, has, t, word } from "../shared/i18n.js";
import { span } from "./filters.js";
import { legName, partyName } from "./names.js";
import { Choice, ColumnChoice, Days, Heading, List, Tag, useColumns, usePages, Words } from "./parts.js";
import { link, refine } from "./route.js";
import { Search } from "./search.js";
import { endWords } from "./timeline.js";

const lasts = (seconds) => (seconds === null || seconds === undefined ? "–" : duration(seconds));
const caseLink = (id) => id && html`<a class="number" href=${link("case", [id])}>${id}</a>`;

/** The way to an export of what the list shows. */
function Export({ what, query }) {
  return html`<a class="button" href=${link("exports", [], { what, ...query })}>${t("exports.these")}</a>`;
}

const LEG_COLUMNS = [
  { key: "at", show: (leg) => html`<span class="number">${dayTime(leg.started_at || leg.ended_at)}</span>` },
  { key: "role", show: (leg) => t(`role.${leg.role || "other"}`) },
  { key: "who", show: (leg, names) => legName(leg, names) },
  { key: "caller", show: (leg) => html`<span class="number">${leg.caller || "–"}</span>` },
  { key: "department", show: (leg) => leg.department || "–" },
  { key: "ring", show: (leg) => lasts(leg.ring_s), class: "number" },
  { key: "talk", show: (leg) => lasts(leg.talk_s), class: "number" },
  { key: "hold", show: (leg) => lasts(leg.hold_s), class: "number", more: true },
  { key: "end", show: (leg) => html`<${Tag} kind=${{ open: "accent", cut_off: "bad" }[leg.state] || ""}>${endWords(leg)}<//>` },
  { key: "case", show: (leg) => caseLink(leg.case) || "–" },
  { key: "uniqueid", show: (leg) => html`<span class="number">${leg.uniqueid}</span>`, more: true },
  { key: "line", show: (leg) => html`<a href=${link("call", [leg.pbx, leg.uniqueid])}>${t("line.open")}</a>` },
];

const ROLES = ["citizen", "agent", "target", "supervisor", "mailbox"];

/** Legs, newest first. */
export function Legs({ query, parts, names }) {
  const set = (more) => refine("legs", parts, { ...query, ...more });
  const { from, to, columns: _none, ...filters } = query;
  const list = usePages("/legs", { ...filters, ...span(from, to) });
  const known = LEG_COLUMNS.map((one) => ({ ...one, show: (leg) => one.show(leg, names) }));
  const [columns, chosen, choose] = useColumns("legs", known);
  const { role: _role, ...chips } = filters;
  return html`<div class="stack">
    <${Heading} tools=${html`<${Export} what="legs" query=${query} /><${ColumnChoice} columns=${known} chosen=${chosen} choose=${choose} />`}>${t("page.legs")}<//>
    <div class="card filters">
      <${Search} names=${names} fields=${["caller", "case", "agent", "department"]} chosen=${chips} onChoose=${(field, value) => set({ [field]: value })} />
      <${Choice} label=${t("col.role")} value=${query.role} options=${ROLES.map((role) => [role, t(`role.${role}`)])} onChange=${(role) => set({ role })} />
      <${Choice} label=${t("col.department")} value=${query.department} options=${names.departments.map((one) => [one, one])} onChange=${(department) => set({ department })} />
      <${Days} from=${from} to=${to} onChange=${set} />
    </div>
    <${List} label=${t("page.legs")} list=${list} columns=${columns} empty=${t("legs.none")} rowKey=${(leg) => `${leg.pbx}/${leg.uniqueid}`} />
  </div>`;
}

export const caseTag = (one) => html`<${Tag} kind=${{ open: "warn", closed: "good", handed_over: "accent" }[one.state] || ""}>${t(`case.${one.state}`)}<//>`;

const CASE_COLUMNS = [
  { key: "case", show: (one) => caseLink(one.case) },
  { key: "opened", show: (one) => html`<span class="number">${dayTime(one.opened_at)}</span>` },
  { key: "caller", show: (one) => html`<span class="number">${one.caller || "–"}</span>` },
  { key: "state", show: caseTag },
  { key: "kind", show: (one) => word("kind", one.kind) || "–" },
  { key: "matter", show: (one, names) => names.matter(one.matter) || "–" },
  { key: "owner", show: (one, names) => partyName(one.owner, names) || t("story.nobody") },
  { key: "first", show: (one, names) => partyName(one.first_contact, names) || "–", more: true },
  { key: "handovers", show: (one) => one.handover_count, class: "number" },
  { key: "wait", show: (one) => lasts(one.time_to_answer_s), class: "number", more: true },
  { key: "due", show: (one) => dueTag(one) },
  { key: "theirs", show: (one) => one.their_case || "–", more: true },
];

export function dueTag(one) {
  if (!one.due_at) return "–";
  return html`<${Tag} kind=${one.late ? "bad" : ""}>${one.late ? `${t("late")} ` : ""}<span class="number">${dayTime(one.due_at)}</span><//>`;
}

const STATES = ["open", "taken", "handed_over", "closed", "merged"];
const KINDS = ["咨询", "建议", "求助", "表扬", "投诉"];

/** Cases, newest first, or those that are due next. */
export function Cases({ query, parts, names }) {
  const set = (more) => refine("cases", parts, { ...query, ...more });
  const { from, to, ...filters } = query;
  const list = usePages("/cases", { ...filters, ...span(from, to) });
  const known = CASE_COLUMNS.map((one) => ({ ...one, show: (row) => one.show(row, names) }));
  const [columns, chosen, choose] = useColumns("cases", known);
  const chips = Object.fromEntries(["caller", "owner", "matter", "their_case", "handed_over_by"].filter((key) => filters[key]).map((key) => [key, filters[key]]));
  function onChoose(field, value) {
    if (field === "case" && value) location.hash = link("case", [value]);
    else set({ [{ agent: "owner", desk: "owner" }[field] || field]: value });
  }
  return html`<div class="stack">
    <${Heading} tools=${html`<${Export} what="cases" query=${query} /><${ColumnChoice} columns=${known} chosen=${chosen} choose=${choose} />`}>${t("page.cases")}<//>
    <div class="card filters">
      <${Search} names=${names} fields=${["caller", "case", "agent", "desk"]} chosen=${chips} onChoose=${onChoose} />
      <${Choice} label=${t("col.state")} value=${query.state} options=${STATES.map((one) => [one, t(`case.${one}`)])} onChange=${(state) => set({ state })} />
      <${Choice} label=${t("col.kind")} value=${query.kind} options=${KINDS.map((one) => [one, t(`kind.${one}`)])} onChange=${(kind) => set({ kind })} />
      <${Choice} label=${t("late")} value=${query.late} options=${[["true", t("late.yes")], ["false", t("late.no")]]} onChange=${(late) => set({ late })} />
      <${Choice} label=${t("sort")} value=${query.sort || "opened"} all=${null} options=${[["opened", t("sort.opened")], ["due", t("sort.due")]]} onChange=${(sort) => set({ sort: sort === "opened" ? "" : sort })} />
      <${Days} from=${from} to=${to} onChange=${set} />
    </div>
    <${List} label=${t("page.cases")} list=${list} columns=${columns} empty=${t("cases.none")} rowKey=${(one) => one.case} />
  </div>`;
}

const GOOD = new Set(["accepted"]);
const RUNNING = new Set(["offered", "answered"]);

export function handoverTag(state) {
  const kind = GOOD.has(state) ? "good" : RUNNING.has(state) ? "accent" : "warn";
  return html`<${Tag} kind=${kind}>${has(`handover.${state}`) ? t(`handover.${state}`) : state}<//>`;
}

const took = (one) => (one.decided_at ? lasts((Date.parse(one.decided_at) - Date.parse(one.offered_at)) / 1000) : "–");
const HANDOVER_COLUMNS = [
  { key: "at", show: (one) => html`<span class="number">${dayTime(one.offered_at)}</span>` },
  { key: "by", show: (one, names) => partyName(one.by, names) || "–" },
  { key: "desk", show: (one, names) => partyName(one.desk, names) || "–" },
  { key: "way", show: (one) => (has(`way.${one.kind}`) ? t(`way.${one.kind}`) : one.kind || "–") },
  { key: "state", show: (one) => handoverTag(one.state) },
  { key: "took", show: took, class: "number" },
  { key: "reason", show: (one) => one.reason || "–" },
  { key: "returned", show: (one) => (one.returned_to ? t(`back.${one.returned_to}`) : "–") },
  { key: "caller", show: (one) => html`<span class="number">${one.caller || "–"}</span>`, more: true },
  { key: "case", show: (one) => caseLink(one.case) },
];
const OUTCOMES = ["offered", "accepted", "busy", "declined", "unanswered", "unreachable", "failed", "cancelled", "caller_gone"];

/** Hand-overs on record, newest first. */
export function Handovers({ query, parts, names }) {
  const set = (more) => refine("handovers", parts, { ...query, ...more });
  const { from, to, ...filters } = query;
  const list = usePages("/handovers", { ...filters, ...span(from, to) });
  const known = HANDOVER_COLUMNS.map((one) => ({ ...one, show: (row) => one.show(row, names) }));
  const [columns, chosen, choose] = useColumns("handovers", known);
  const desks = names.people.filter((one) => one.kind !== "agent");
  const agents = names.people.filter((one) => one.kind === "agent");
  const option = (one) => [one.id, partyName(one.id, names)];
  return html`<div class="stack">
    <${Heading} tools=${html`<${Export} what="handovers" query=${query} /><${ColumnChoice} columns=${known} chosen=${chosen} choose=${choose} />`}>${t("page.handovers")}<//>
    <div class="card filters">
      <${Choice} label=${t("col.desk")} value=${query.desk} options=${desks.map(option)} onChange=${(desk) => set({ desk })} />
      <${Choice} label=${t("col.by")} value=${query.by} options=${agents.map(option)} onChange=${(by) => set({ by })} />
      <${Choice} label=${t("col.state")} value=${query.state} options=${OUTCOMES.map((one) => [one, t(`handover.${one}`)])} onChange=${(state) => set({ state })} />
      <${Words} label=${t("col.case")} value=${query.case} onChange=${(value) => set({ case: value })} />
      <${Days} from=${from} to=${to} onChange=${set} />
    </div>
    <${List} label=${t("page.handovers")} list=${list} columns=${columns} empty=${t("handovers.none")} rowKey=${(one) => one.id} />
  </div>`;
}
