// What the settings hold: lines, phones, desks, keys, platforms, tokens. Only to look at.
import { html } from "../vendor/preact-htm.js";
import { has, t } from "../shared/i18n.js";
import { Heading, Loading, Table, Tag, Trouble, useLoad } from "./parts.js";

const KINDS = { ready: "good", busy: "accent", ringing: "accent", away: "bad", unknown: "" };
const reach = (one) => html`<${Tag} kind=${KINDS[one.reach]}>${t(`reach.${one.reach}`)}<//>`;
// Of several PBXs each says what it reaches.
const reached = (data) => (one) => (data.pbxs.length > 1
  ? html`<span class="tags">${one.at.map((there) => html`<span title=${there.dial}>${there.pbx} <${Tag} kind=${KINDS[there.reach]}>${t(`reach.${there.reach}`)}<//> </span>`)}</span>`
  : reach(one));
const mono = (text) => html`<span class="mono">${text}</span>`;

function Part({ name, columns, rows, rowKey }) {
  return html`<section class="card" aria-labelledby=${`part-${name}`}><h2 id=${`part-${name}`}>${t(`setup.${name}`)} <span class="quiet number">${rows.length}</span></h2>
    <${Table} label=${t(`setup.${name}`)} columns=${columns} rows=${rows} rowKey=${rowKey} empty=${t("setup.none")} /></section>`;
}

export function Setup() {
  const { data, error, again, loading } = useLoad("/setup");
  if (error) return html`<${Trouble} error=${error} again=${again} />`;
  if (!data) return html`<${Loading} />`;
  const name = (id) => [...data.desks, ...data.phones].find((one) => one.id === id)?.name || "";
  const does = (one) => {
    const words = t(`key.${one.action}`, { desk: one.desk ? `${one.desk} ${name(one.desk)}`.trim() : "", name: one.name });
    return has(`key.${one.action}`) ? words : one.action;
  };
  return html`<div class="stack" aria-busy=${loading ? "true" : "false"}>
    <${Heading} tools=${html`<button onClick=${again}>${t("refresh")}</button>`}
      note=${t(data.file ? "setup.file" : "setup.env", { file: data.file })}>${t("admin.setup")}<//>
    ${!data.pbx_seen && html`<p class="card warn-card" role="status">${t("setup.unseen")}${data.pbxs.length > 1 ? ` ${data.pbxs.filter((one) => !one.seen).map((one) => one.name).join(t("and.list"))}` : ""}</p>`}
    <${Part} name="lines" rows=${data.lines} rowKey=${(one) => one.number} columns=${[
      ["number", (one) => html`<span class="number">${[one.number, ...one.numbers].join(", ")}</span>`], ["title", (one) => one.name],
      ["hours", (one) => html`<span class="number">${one.hours.replace(/(\d\d)(\d\d)/g, "$1:$2").replace(/,/g, t("and.comma"))}</span>`]]} />
    <${Part} name="desks" rows=${data.desks} rowKey=${(one) => one.kind + one.id} columns=${[
      ["desk", (one) => one.id, "number"], ["title", (one) => one.name], ["kind", (one) => t(`desk.${one.kind}`)], ["department", (one) => one.department || "–"],
      ["device", (one) => html`${mono(one.dial)}${one.dial_backup ? html` <span class="quiet">${t("desk.backup")}</span> ${mono(one.dial_backup)}` : ""}`],
      ["ring_s", (one) => t("seconds", { n: one.ring_s }), "number"], ["acceptance", (one) => (one.acceptance ? t(`desk.${one.acceptance}`) : "–")],
      ["platform", (one) => one.platform || "–"], ["reach", (one) => (one.kind === "desk" ? reached(data)(one) : "–")]]} />
    <div class="two"><div class="stack">
      <${Part} name="phones" rows=${data.phones} rowKey=${(one) => one.kind + one.id} columns=${[
        ["phone", (one) => one.id, "number"], ["title", (one) => one.name || "–"], ["kind", (one) => t(`phone.${one.kind}`)],
        ["department", (one) => one.department || "–"], ["device", (one) => html`${mono(one.dial)}${one.browser ? html` <${Tag}>${t("phone.browser")}<//>` : ""}`], ["reach", reached(data)]]} />
      <${Part} name="platforms" rows=${data.platforms} rowKey=${(one) => one.id} columns=${[
        ["platform", (one) => one.name || one.id], ["url", (one) => mono(one.url)], ["desk", (one) => [...one.desks, ...one.departments].join(t("and.list")) || "–"],
        ["numbers", (one) => t(one.numbers ? "platform.whole" : "platform.masked")]]} />
      <${Part} name="tokens" rows=${data.tokens} rowKey=${(one) => one.name + one.role} columns=${[
        ["title", (one) => one.name], ["roles", (one) => html`<${Tag}>${t(`role.${one.role}`)}<//>`], ["phone", (one) => one.agent || "–", "number"],
        ["listens", (one) => t(one.may_monitor ? "yes" : "no")]]} />
    </div>
      <${Part} name="keys" rows=${data.keys} rowKey=${(one) => one.code} columns=${[
        ["code", (one) => html`<kbd>${one.code}</kbd>`], ["does", does]]} />
    </div>
  </div>`;
}
