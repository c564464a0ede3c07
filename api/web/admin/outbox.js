// Messages to other platforms: what waits, what was given up, and what to do about it.
import { html, useState } from "../vendor/preact-htm.js";
import { http } from "../shared/http.js";
import { dayTime, has, t } from "../shared/i18n.js";
import { Field, tell } from "../shared/shell.js";
import { Ask, Choice, Heading, PagedTable, Tag, useLoad, usePages, Words } from "./parts.js";

const STATES = ["waiting", "dead", "delivered", "skipped"];
const KINDS = { waiting: "accent", dead: "bad", delivered: "good", skipped: "warn" };

function Skip({ message, onClose, done }) {
  const [reason, set] = useState("");
  const [wrong, setWrong] = useState("");
  return html`<${Ask} danger title=${t("outbox.skip", { id: message.id })} text=${t("outbox.skip.means")} word=${t("outbox.skip.go")} onClose=${onClose} done=${done}
    go=${async () => {
      if (!reason.trim()) {
        setWrong(t("field.required"));
        throw new Error(t("outbox.reason.needed"));
      }
      await http.post(`/outbox/${message.id}/skip`, { reason: reason.trim() });
    }}>
    <${Field} label=${t("outbox.reason")} error=${wrong}><input name="reason" maxlength="200" value=${reason} onInput=${(event) => {
      set(event.target.value);
      setWrong("");
    }} /><//>
  <//>`;
}

export function Outbox({ who, may }) {
  const [query, set] = useState({ state: "", destination: "", case: "" });
  const [open, show] = useState(null);
  const put = (field) => (value) => set({ ...query, [field]: value });
  const list = usePages("/outbox", query);
  const setup = useLoad(may ? "/setup" : null);
  const retries = may || who.roles.includes("integrator");
  const close = () => show(null);
  const done = (said) => {
    tell(said, "good");
    list.again();
  };
  const platforms = [...new Set([...(setup.data?.platforms || []).map((one) => one.id), ...list.items.map((one) => one.destination)])].sort();
  const dead = list.items.filter((one) => one.state === "dead").length;
  const columns = [
    ["id", (one) => one.id, "number"],
    ["created", (one) => html`<span class="number">${dayTime(one.created_at)}</span>`],
    ["platform", (one) => one.destination],
    ["kind", (one) => (has(`order.${one.kind}`) ? t(`order.${one.kind}`) : one.kind)],
    ["case", (one) => one.case || "–", "number"],
    ["state", (one) => html`<${Tag} kind=${KINDS[one.state]}>${t(`outbox.${one.state}`)}<//>`],
    ["attempts", (one) => one.attempts, "number"],
    ["next", (one) => html`<span class="number">${one.state === "waiting" ? dayTime(one.next_at) : one.delivered_at ? dayTime(one.delivered_at) : "–"}</span>`],
    ["error", (one) => html`<span class="which" title=${one.last_error || ""}>${one.last_error || "–"}</span>`],
  ];
  if (retries) {
    columns.push(["do", (one) => one.state === "dead" && html`<span class="row tight">
      <button class="small" onClick=${() => show({ what: "retry", message: one })} aria-label=${t("outbox.retry", { id: one.id })}>${t("outbox.retry.go")}</button>
      ${may && html`<button class="small" onClick=${() => show({ what: "skip", message: one })} aria-label=${t("outbox.skip", { id: one.id })}>${t("outbox.skip.go")}</button>`}</span>`]);
  }
  return html`<div class="stack">
    <${Heading} note=${t("outbox.note")} tools=${html`<button onClick=${list.again}>${t("refresh")}</button>
      ${retries && html`<button disabled=${!dead} onClick=${() => show({ what: "all" })}>${t("outbox.all")}</button>`}`}>${t("admin.outbox")}<//>
    <div class="card filters">
      <${Choice} label=${t("col.state")} value=${query.state} options=${STATES.map((one) => [one, t(`outbox.${one}`)])} onChange=${put("state")} />
      <${Choice} label=${t("col.platform")} value=${query.destination} options=${platforms.map((one) => [one, one])} onChange=${put("destination")} />
      <${Words} label=${t("col.case")} value=${query.case} onChange=${put("case")} />
    </div>
    <${PagedTable} label=${t("admin.outbox")} list=${list} columns=${columns} rowKey=${(one) => one.id} empty=${t("outbox.none")} />
    ${open?.what === "retry" && html`<${Ask} title=${t("outbox.retry", { id: open.message.id })} text=${t("outbox.retry.means")} word=${t("outbox.retry.go")} onClose=${close}
      go=${() => http.post(`/outbox/${open.message.id}/retry`)} done=${() => done(t("outbox.retry.done"))} />`}
    ${open?.what === "all" && html`<${Ask} title=${t("outbox.all")} text=${query.destination ? t("outbox.all.one", { platform: query.destination }) : t("outbox.all.means")} word=${t("outbox.all")} onClose=${close}
      go=${() => http.post("/outbox/retry", query.destination ? { destination: query.destination } : {})} done=${(result) => done(t("outbox.all.done", { n: result.messages }))} />`}
    ${open?.what === "skip" && html`<${Skip} message=${open.message} onClose=${close} done=${() => done(t("outbox.skip.done"))} />`}
  </div>`;
}
