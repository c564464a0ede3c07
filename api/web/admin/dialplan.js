// The dialplan of a PBX in service: what runs, what a load would change, check, load, roll back.
import { html, useState } from "../vendor/preact-htm.js";
import { http } from "../shared/http.js";
import { dayTime, lang, t } from "../shared/i18n.js";
import { tell } from "../shared/shell.js";
import { Ask, Choice, Heading, Loading, Table, Tag, Trouble, useLoad } from "./parts.js";

const SEVERITY = { error: "bad", warning: "warn", note: "" };
const STATE = { new: "good", gone: "bad", changed: "accent" };
const LONG_MS = 120000;

// Why nothing can be loaded, in Chinese; what to type stands below it as the server says it.
const NO_WAY = [
  [/^set pbx\.etc/, "还没有设置加载方式：本机能访问交换机的配置目录时设置 pbx.etc，否则设置 pbx.load_over_ami = true 并重新生成 AMI 用户。"],
  [/is no folder/, "pbx.etc 所指的不是目录：请改正，或把它挂载上。"],
  [/may not be written by user/, "服务的用户不能写交换机的配置目录：请按下面的命令授权。"],
  [/our AMI user may not use/, "服务的 AMI 用户缺少权限：请按下面所说在交换机的 manager.conf 里加上，再重新加载。"],
];

/** Why the dialplan cannot be loaded from here, and what to do. */
function NoWay({ why }) {
  const found = lang() === "zh" && NO_WAY.find(([pattern]) => pattern.test(why));
  return html`${found && html`<span class="error">${found[1]}</span><br />`}<span lang="en" class=${found ? "quiet small" : "error"}>${why}</span>`;
}

function Difference({ pbx }) {
  const { data, error, loading, again } = useLoad("/dialplan/diff", { pbx });
  if (error) return html`<${Trouble} error=${error} again=${again} />`;
  if (!data) return html`<${Loading} />`;
  const contexts = data.contexts.map((one) => html`<details key=${one.context}><summary><${Tag} kind=${STATE[one.state]}>${t(`diff.${one.state}`)}<//> <span class="mono">${one.context}</span> <span class="quiet">${t("diff.places", { n: one.changes.length })}</span></summary>
    <pre class="diff" tabindex="0">${one.changes.flatMap((place) => [
      html`<span class="at">${place.exten || "–"}${place.priority ? `,${place.priority}` : ""}</span>\n`,
      place.running && html`<del>- ${place.running}</del>\n`,
      place.wanted && html`<ins>+ ${place.wanted}</ins>\n`])}</pre></details>`);
  const files = data.files.map((one) => html`<details key=${one.file}><summary><${Tag} kind=${STATE[one.state]}>${t(`diff.${one.state}`)}<//> <span class="mono">${one.file}</span> <span class="quiet">${t("diff.lines", { n: one.lines.length })}</span></summary>
    <pre class="diff" tabindex="0">${one.lines.map((line) => html`<${line.startsWith("+") ? "ins" : line.startsWith("-") ? "del" : "span"}>${line}<//>\n`)}</pre></details>`);
  return html`<div class="stack" aria-busy=${loading ? "true" : "false"}>
    <p role="status">${data.equal ? t("diff.equal") : t("diff.differs", { contexts: data.contexts.length, files: data.files.length })}</p>
    ${contexts}${files}
  </div>`;
}

function Check({ pbx }) {
  const [state, set] = useState({ busy: false, found: null, error: null });
  async function run() {
    if (state.busy) return;
    set({ busy: true, found: null, error: null });
    try {
      const found = await http.post("/dialplan/check", pbx ? { pbx } : {}, { signal: AbortSignal.timeout(LONG_MS) });
      set({ busy: false, found, error: null });
    } catch (error) {
      set({ busy: false, found: null, error });
    }
  }
  const { busy, found, error } = state;
  const zh = lang() === "zh";
  return html`<section class="card stack"><div class="spread"><h2>${t("check.title")}</h2>
      <button aria-disabled=${busy ? "true" : undefined} onClick=${run}>${t(busy ? "check.busy" : "check.go")}</button></div>
    <p class="quiet small">${t("check.note")}</p>
    ${error && html`<${Trouble} error=${error} />`}
    ${found && html`<p role="status"><${Tag} kind=${found.ok ? "good" : "bad"}>${t(found.ok ? "check.ok" : "check.bad")}<//> ${t("check.count", found)}</p>
      ${!!found.findings.length && html`<${Table} label=${t("check.title")} rows=${found.findings} rowKey=${(one) => `${one.file}:${one.line}:${one.code}:${one.what}`} columns=${[
        ["severity", (one) => html`<${Tag} kind=${SEVERITY[one.severity]}>${t(`severity.${one.severity}`)}<//>`],
        ["where", (one) => html`<span class="mono">${one.file}${one.line ? `:${one.line}` : ""}</span>`],
        ["found", (one) => html`<span class="which">${zh ? one.what_zh : one.what}</span><br /><small class="quiet which">${zh ? one.why_zh : one.why}</small>`]]} />`}`}
  </section>`;
}

export function Dialplan({ may }) {
  const [pbx, setPbx] = useState("");
  const [round, next] = useState(0);
  const [open, show] = useState(null);
  const { data, error, loading, again } = useLoad("/dialplan", { pbx });
  const sites = useLoad("/pbxs");
  const names = (sites.data?.items || []).map((one) => one.name);
  const close = () => show(null);
  const body = (more = {}) => ({ ...(pbx ? { pbx } : {}), ...more });
  const done = (said) => {
    tell(said, "good");
    again();
    next((count) => count + 1);
  };
  const columns = data ? [
    ["version", (one) => html`<span class="number">${one.number}</span> ${one.number === data.running ? html`<${Tag} kind="good">${t("dialplan.runs")}<//>` : ""}`],
    ["at", (one) => html`<span class="number">${dayTime(one.at)}</span>`], ["who", (one) => one.by],
    ["what", (one) => t(`version.${one.what}`, { of: one.of })], ["files", (one) => one.files, "number"],
    ["sum", (one) => html`<span class="mono small">${one.sha256.slice(0, 12)}</span>`],
    ...(may ? [["do", (one) => one.number !== data.running && html`<button class="small" disabled=${!data.way} onClick=${() => show({ what: "back", version: one.number })} aria-label=${t("dialplan.back", { n: one.number })}>${t("dialplan.back.go")}</button>`]] : []),
  ] : [];
  return html`<div class="stack" aria-busy=${loading ? "true" : "false"}>
    <${Heading} note=${t("dialplan.note")} tools=${html`
      ${names.length > 1 && html`<${Choice} label="PBX" value=${pbx} all=${names[0]} options=${names.slice(1).map((one) => [one, one])} onChange=${setPbx} />`}
      <button onClick=${() => { again(); next((count) => count + 1); }}>${t("refresh")}</button>
      ${may && html`<button class="primary" disabled=${!data?.way || !!data?.unfinished?.busy} onClick=${() => show({ what: "load" })}>${t("dialplan.load")}</button>`}`}>${t("admin.dialplan")}<//>
    ${error && html`<${Trouble} error=${error} again=${again} />`}
    ${!data && loading && html`<${Loading} />`}
    ${data && html`<div class="card"><dl class="facts"><dt>PBX</dt><dd>${data.pbx}</dd>
        <dt>${t("dialplan.running")}</dt><dd>${data.running === null ? t("dialplan.foreign") : t("dialplan.version", { n: data.running })}</dd>
        <dt>${t("dialplan.way")}</dt><dd>${data.way ? t(`way.${data.way}`) : html`<${NoWay} why=${data.no_way} />`}</dd></dl></div>
      ${data.unfinished && html`<div class="card warn-card spread" role="alert"><p>${t(data.unfinished.busy ? "dialplan.busy" : "dialplan.cut", { by: data.unfinished.by, at: dayTime(data.unfinished.at), stage: t(`stage.${data.unfinished.stage}`) })}
          <span lang="en">${data.unfinished.said}</span></p>
        ${may && !data.unfinished.busy && html`<button class="danger" onClick=${() => show({ what: "back", version: null })}>${t("dialplan.undo")}</button>`}</div>`}
      <${Check} pbx=${pbx} />
      <section class="card stack"><h2>${t("diff.title")}</h2><${Difference} key=${`${pbx}/${round}`} pbx=${pbx} /></section>
      <section class="card list-card"><h2 class="inside">${t("dialplan.versions")}</h2><${Table} label=${t("dialplan.versions")} columns=${columns} rows=${data.versions} rowKey=${(one) => one.number} empty=${t("dialplan.none")} /></section>`}
    ${open?.what === "load" && html`<${Ask} title=${t("dialplan.load")} text=${t("dialplan.load.means")} word=${t("dialplan.load")} onClose=${close}
      go=${() => http.post("/dialplan/load", body(), { signal: AbortSignal.timeout(LONG_MS) })} done=${(result) => done(t("dialplan.loaded", { n: result.version.number, s: result.seconds.toFixed(1) }))} />`}
    ${open?.what === "back" && html`<${Ask} danger title=${open.version ? t("dialplan.back", { n: open.version }) : t("dialplan.undo")} text=${t("dialplan.back.means")} word=${t("dialplan.back.go")} onClose=${close}
      go=${() => http.post("/dialplan/rollback", body(open.version ? { version: open.version } : {}), { signal: AbortSignal.timeout(LONG_MS) })} done=${(result) => done(t("dialplan.loaded", { n: result.version.number, s: result.seconds.toFixed(1) }))} />`}
  </div>`;
}
