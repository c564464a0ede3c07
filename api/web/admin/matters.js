// The directory of matters: what counts now, a file looked at before it is taken, earlier versions.
import { html, useState } from "../vendor/preact-htm.js";
import { http } from "../shared/http.js";
import { dayTime, t } from "../shared/i18n.js";
import { tell } from "../shared/shell.js";
import { brokenWords } from "./broken.js";
import { Ask, FileChoice, Heading, Loading, Table, Tag, Trouble, useLoad } from "./parts.js";

const XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const SOME = 30;

function kindOf(file) {
  const head = new Uint8Array(file.data.slice(0, 4));
  return head[0] === 0x50 && head[1] === 0x4b ? XLSX : "text/csv";
}

/** Send a file; what is wrong with it comes back as {broken}, like a preview. */
async function send(file, options) {
  try {
    return await http.post("/matters/import", file.data, {
      query: { source: file.name.slice(0, 128) || "file", ...options }, headers: { "Content-Type": kindOf(file) }, signal: AbortSignal.timeout(60000),
    });
  } catch (error) {
    if (error.code !== "matter-file-refused" || !error.body.broken) throw error;
    return { refused: true, version: null, broken: error.body.broken, new: [], changed: [], removed: [], unchanged: 0, kept: [] };
  }
}

function Codes({ name, codes, kind }) {
  if (!codes.length) return null;
  return html`<div><h3><${Tag} kind=${kind}>${t(`matters.${name}`)} ${codes.length}<//></h3>
    <p class="mono small codes">${codes.slice(0, SOME).join("  ")}${codes.length > SOME ? ` … ${t("matters.more", { n: codes.length - SOME })}` : ""}</p></div>`;
}

function Preview({ file, found, skip, onSkip, onTake, onDrop, busy }) {
  const changes = found.new.length + found.changed.length + found.removed.length;
  const broken = found.broken.length > 0;
  const canTake = changes > 0 && (!broken || skip);
  return html`<section class="card stack" aria-labelledby="preview">
    <h2 id="preview">${t("matters.preview", { file: file.name })}</h2>
    ${broken && html`<div role="alert" class="stack">
      <p class="error">${t(!skip ? "matters.refused" : "matters.skipped", { n: found.broken.length })}</p>
      <${Table} label=${t("matters.broken")} rows=${found.broken} rowKey=${(one) => `${one.row}/${one.column}/${one.reason}`} columns=${[
        ["row", (one) => one.row ?? t("matters.whole"), "number"], ["column", (one) => one.column || "–"], ["reason", (one) => brokenWords(one.reason)]]} />
      <label class="row check"><input type="checkbox" name="skip" checked=${skip} onChange=${(event) => onSkip(event.target.checked)} />${t("matters.skip")}</label>
    </div>`}
    ${(!broken || skip) && html`<div class="stack" role="status">
      ${changes ? html`<p>${t("matters.would", { n: changes, same: found.unchanged })}</p>` : html`<p>${t("matters.same")}</p>`}
      <${Codes} name="new" codes=${found.new} kind="good" /><${Codes} name="changed" codes=${found.changed} kind="accent" />
      <${Codes} name="removed" codes=${found.removed} kind="bad" /><${Codes} name="kept" codes=${found.kept} kind="warn" />
    </div>`}
    <div class="row ends"><button onClick=${onDrop}>${t("matters.drop")}</button>
      <button class="primary" aria-disabled=${!canTake || busy ? "true" : undefined} onClick=${() => canTake && !busy && onTake()}>${t(busy ? "doing" : "matters.take")}</button></div>
  </section>`;
}

export function Matters({ may }) {
  const now = useLoad("/matters", { limit: 1 });
  const versions = useLoad("/matters/versions");
  const [file, setFile] = useState(null);
  const [found, setFound] = useState(null);
  const [skip, setSkip] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const [restoring, restore] = useState(null);

  async function look(chosen, skipBroken) {
    setFile(chosen);
    setSkip(skipBroken);
    setError(null);
    setBusy(true);
    try {
      setFound(await send(chosen, { dry_run: true, skip_broken: skipBroken }));
    } catch (failure) {
      setFound(null);
      setError(failure);
    }
    setBusy(false);
  }
  async function take() {
    setBusy(true);
    setError(null);
    try {
      const result = await send(file, { skip_broken: skip });
      if (result.refused) setFound(result); // somebody changed the desks meanwhile
      else {
        tell(t("matters.taken", { version: result.version }), "good");
        setFound(null);
        setFile(null);
        now.again();
        versions.again();
      }
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  }
  const drop = () => {
    setFile(null);
    setFound(null);
  };
  const columns = [
    ["version", (one) => one.version, "number"], ["at", (one) => html`<span class="number">${dayTime(one.imported_at)}</span>`], ["who", (one) => one.imported_by],
    ["file", (one) => (one.restored_from ? t("matters.restored", { n: one.restored_from }) : one.source)], ["matters", (one) => one.matters, "number"],
    ["do", (one) => html`<span class="row tight"><a class="button small" href=${`/api/v1/matters/export?version=${one.version}`} download aria-label=${t("matters.export", { n: one.version })}>${t("download")}</a>
      ${may && one.version !== now.data?.version && html`<button class="small" onClick=${() => restore(one)} aria-label=${t("matters.restore", { n: one.version })}>${t("matters.restore.go")}</button>`}</span>`],
  ];
  return html`<div class="stack">
    <${Heading} note=${t("matters.note")} tools=${html`<a class="button" href="/api/v1/matters/export" download>${t("matters.download")}</a>`}>${t("admin.matters")}<//>
    ${now.data && html`<p class="card">${now.data.version ? t("matters.now", { version: now.data.version, n: now.data.total }) : t("matters.empty")}
      ${now.data.sample && html` <${Tag} kind="warn">${t("matters.sample")}<//>`}</p>`}
    ${may && html`<section class="card"><${FileChoice} label=${t("matters.choose")} hint=${t("matters.choose.hint")} accept=".csv,.xlsx,text/csv" onFile=${(chosen) => look(chosen, false)} /></section>`}
    ${error && html`<${Trouble} error=${error} />`}
    ${busy && !found && html`<${Loading} />`}
    ${found && html`<${Preview} file=${file} found=${found} skip=${skip} busy=${busy} onSkip=${(on) => look(file, on)} onTake=${take} onDrop=${drop} />`}
    <section class="card list-card" aria-label=${t("matters.versions")}><h2 class="inside">${t("matters.versions")}</h2>
      ${versions.error ? html`<${Trouble} error=${versions.error} again=${versions.again} />` : !versions.data ? html`<${Loading} />`
        : html`<${Table} label=${t("matters.versions")} columns=${columns} rows=${versions.data.items} rowKey=${(one) => one.version} empty=${t("matters.empty")} />`}</section>
    ${restoring && html`<${Ask} title=${t("matters.restore", { n: restoring.version })} text=${t("matters.restore.means")} word=${t("matters.restore.go")} onClose=${() => restore(null)}
      go=${() => http.post(`/matters/versions/${restoring.version}/restore`)} done=${() => {
        tell(t("matters.restore.done", { n: restoring.version }), "good");
        now.again();
        versions.again();
      }} />`}
  </div>`;
}
