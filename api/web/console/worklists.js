// Lists to work through: what is late and who holds it; messages and missed calls.
import { html } from "../vendor/preact-htm.js";
import { dayTime, duration, t, word } from "../shared/i18n.js";
import { Sound } from "./case.js";
import { span } from "./filters.js";
import { partyName } from "./names.js";
import { Choice, Days, Heading, List, Tag, usePages, Words } from "./parts.js";
import { link, refine } from "./route.js";

const caseLink = (id) => html`<a class="number" href=${link("case", [id])}>${id}</a>`;

/** How long something is late: days and hours of the clock, which people feel. */
export function lateness(seconds) {
  const hours = Math.floor(seconds / 3600);
  if (hours < 1) return t("late.minutes", { n: Math.max(1, Math.floor(seconds / 60)) });
  return hours < 48 ? t("late.hours", { n: hours }) : t("late.days", { n: Math.floor(hours / 24) });
}

function step(one) {
  if (one.head_told_at) return html`<${Tag} kind="bad">${t("step.head")} ${dayTime(one.head_told_at)}<//>`;
  if (one.escalated_at) return html`<${Tag} kind="bad">${t("step.escalated")} ${dayTime(one.escalated_at)}<//>`;
  if (one.reminded_at) return html`<${Tag} kind="warn">${t("step.reminded")} ${dayTime(one.reminded_at)}<//>`;
  return html`<${Tag}>${t("step.none")}<//>`;
}

const OVERDUE = [
  { key: "what", show: (one) => html`<b>${t(`deadline.${one.kind}`)}</b>` },
  { key: "lateBy", show: (one) => html`<${Tag} kind="bad">${lateness(one.late_s)}<//>` },
  { key: "due", show: (one) => html`<span class="number">${dayTime(one.due_at)}</span>` },
  { key: "holder", show: (one, names) => partyName(one.holder, names) },
  { key: "department", show: (one) => one.department || "–" },
  { key: "step", show: step },
  { key: "case", show: (one) => caseLink(one.case) },
  { key: "kind", show: (one) => word("kind", one.case_kind) || "–" },
  { key: "matter", show: (one, names) => names.matter(one.matter) || "–" },
];

/** What is late and who holds it, the oldest first. */
export function Overdue({ query, parts, names }) {
  const set = (more) => refine("overdue", parts, { ...query, ...more });
  const list = usePages("/overdue", query);
  const columns = OVERDUE.map((one) => ({ ...one, show: (row) => one.show(row, names) }));
  return html`<div class="stack">
    <${Heading} tools=${html`<a class="button" href=${link("cases", [], { sort: "due" })}>${t("overdue.next")}</a>`}>${t("page.overdue")}<//>
    <div class="card filters">
      <${Choice} label=${t("col.what")} value=${query.kind} options=${["acceptance", "feedback", "message", "missed_call"].map((one) => [one, t(`deadline.${one}`)])} onChange=${(kind) => set({ kind })} />
      <${Choice} label=${t("col.department")} value=${query.department} options=${names.departments.map((one) => [one, one])} onChange=${(department) => set({ department })} />
      <${Choice} label=${t("col.holder")} value=${query.holder} options=${names.people.map((one) => [one.id, partyName(one.id, names)])} onChange=${(holder) => set({ holder })} />
    </div>
    <${List} label=${t("page.overdue")} list=${list} columns=${columns} empty=${t("overdue.none")} rowKey=${(one) => `${one.case}/${one.key}`} />
  </div>`;
}

const MESSAGE_KIND = { open: "warn", answered: "good", served: "good", given_up: "bad" };
const MESSAGES = [
  { key: "at", show: (one) => html`<span class="number">${dayTime(one.at)}</span>` },
  { key: "kind", show: (one) => t(`message.kind.${one.kind}`) },
  { key: "caller", show: (one) => html`<span class="number">${one.caller || "–"}</span>` },
  { key: "length", show: (one) => duration(one.kind === "missed" ? one.waited_s || 0 : one.length_s || 0), class: "number" },
  { key: "sound", show: (one, _names, who) => html`<${Sound} message=${one} who=${who} />` },
  { key: "state", show: (one) => html`<${Tag} kind=${MESSAGE_KIND[one.state]}>${t(`message.${one.state}`)}<//>` },
  { key: "holder", show: (one, names) => partyName(one.holder, names) || t("story.nobody") },
  { key: "due", show: (one) => (one.due_at && one.state === "open" ? html`<${Tag} kind=${Date.parse(one.due_at) < Date.now() ? "bad" : ""}>${dayTime(one.due_at)}<//>` : "–") },
  { key: "tries", show: (one) => one.tries, class: "number" },
  { key: "result", show: (one) => one.result || "–" },
  { key: "case", show: (one) => caseLink(one.case) },
];

/** Messages and missed calls, newest first; each can be listened to. */
export function Messages({ query, parts, names, who }) {
  const set = (more) => refine("messages", parts, { ...query, ...more });
  const { from, to, ...filters } = query;
  const list = usePages("/messages", { ...filters, ...span(from, to) });
  const columns = MESSAGES.map((one) => ({ ...one, show: (row) => one.show(row, names, who) }));
  const agents = names.people.filter((one) => one.kind === "agent");
  return html`<div class="stack">
    <${Heading}>${t("page.messages")}<//>
    <div class="card filters">
      <${Choice} label=${t("col.kind")} value=${query.kind} options=${["message", "missed"].map((one) => [one, t(`message.kind.${one}`)])} onChange=${(kind) => set({ kind })} />
      <${Choice} label=${t("col.state")} value=${query.state} options=${["open", "answered", "served", "given_up"].map((one) => [one, t(`message.${one}`)])} onChange=${(state) => set({ state })} />
      <${Choice} label=${t("col.holder")} value=${query.holder} options=${agents.map((one) => [one.id, partyName(one.id, names)])} onChange=${(holder) => set({ holder })} />
      <${Words} label=${t("col.case")} value=${query.case} onChange=${(value) => set({ case: value })} />
      <${Days} from=${from} to=${to} onChange=${set} />
    </div>
    <p class="small quiet">${t("messages.audit")}</p>
    <${List} label=${t("page.messages")} list=${list} columns=${columns} empty=${t("messages.none")} rowKey=${(one) => one.id} />
  </div>`;
}
