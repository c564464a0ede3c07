// What the doctor finds: what is wrong, what it means for callers, what to do.
import { html, useState } from "../vendor/preact-htm.js";
import { http } from "../shared/http.js";
import { dayTime, has, lang, t } from "../shared/i18n.js";
import { Choice, Heading, Loading, Tag, Trouble, useLoad } from "./parts.js";

const KINDS = { ok: "good", warning: "warn", wrong: "bad" };
const ORDER = ["wrong", "warning", "ok"];

// What it means, in Chinese; in English it comes with what was found.
const MEANS = {
  "ami": "转接和实时画面需要它；没有它，话机上的按键仍可用。",
  "version": "拨号方案在这个版本和更新的版本上验证过。",
  "rights": "缺少的权限会让坐席的操作失败。",
  "modules": "缺少模块的那一步会让通话结束。",
  "dialplan": "来电走的是交换机已加载的路线。",
  "loading": "中断的加载使来电走未经验证的拨号方案。",
  "keys": "坐席靠这些按键转接和三方通话。",
  "cel": "话段和首接由 CEL 得出。",
  "cel-back-end": "慢的后端会拖住每个来电。",
  "cel-file": "不在其中的通话没有任何记录。",
  "clock": "开放时间和所有记录时间以它为准。",
  "calendar": "拨号方案按交换机所知的日历判断。",
  "host-name": "每次查询失败都会耽误来电。",
  "indications": "没有回铃音，该振铃时会挂断。",
  "music": "等待的人要听到声音：寂静像断线。",
  "prompts": "缺少提示音，来电人听到的是寂静。",
  "ports": "没有端口的通话没有声音。",
  "messages": "下班后来电人在此留言。",
  "agents": "来电接给签入的人。",
  "desks": "转给不在线的单位，来电会回到坐席。",
  "options": "话机掉线只有询问才知道。",
  "certificates": "过期后，检查证书的一方会挂断。",
  "disk": "磁盘满了，记录和留言会无声丢失。",
  "database": "没有它通话继续，记录在 CEL 文件里等待。",
  "recorder": "还没入库的不出现在列表和导出中。",
  "outbox": "其他平台不知道归他们的工单。",
  "gaps": "这段时间没有记录。",
};

export function Doctor({ may }) {
  const [pbx, setPbx] = useState("");
  const last = useLoad("/doctor", { pbx });
  const [now, setNow] = useState({ data: null, error: null, busy: false });
  const sites = useLoad("/pbxs");
  async function look() {
    if (now.busy) return;
    setNow({ ...now, busy: true });
    try {
      const data = await http.post(`/doctor${pbx ? `?pbx=${encodeURIComponent(pbx)}` : ""}`, undefined, { signal: AbortSignal.timeout(60000) });
      setNow({ data, error: null, busy: false });
    } catch (error) {
      setNow({ data: null, error, busy: false });
    }
  }
  const data = now.data?.pbx === last.data?.pbx && now.data ? now.data : last.data;
  const error = now.error || last.error;
  const names = (sites.data?.items || []).map((one) => one.name);
  const sorted = data ? [...data.checks].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state)) : [];
  const count = (state) => sorted.filter((one) => one.state === state).length;
  const means = (one) => ((lang() === "zh" && MEANS[one.name]) || one.means);
  return html`<div class="stack" aria-busy=${now.busy ? "true" : "false"}>
    <${Heading} note=${t("doctor.note")} tools=${html`
      ${names.length > 1 && html`<${Choice} label="PBX" value=${pbx} all=${names[0]} options=${names.slice(1).map((one) => [one, one])} onChange=${setPbx} />`}
      ${may && html`<button class="primary" aria-disabled=${now.busy ? "true" : undefined} onClick=${look}>${t(now.busy ? "doctor.looking" : "doctor.again")}</button>`}`}>${t("admin.doctor")}<//>
    ${error && html`<${Trouble} error=${error} again=${now.error ? look : last.again} />`}
    ${now.busy && html`<p class="card" role="status">${t("doctor.wait")}</p>`}
    ${!data && last.loading && html`<${Loading} />`}
    ${data && !data.at && !now.busy && html`<p class="card" role="status">${t("doctor.not-yet")}</p>`}
    ${data?.at && html`<p class="card spread" role="status"><span class="row">${ORDER.map((state) => html`<${Tag} key=${state} kind=${KINDS[state]}>${t(`doctor.state.${state}`)} ${count(state)}<//>`)}</span>
      <span class="quiet small">${data.pbx} · <span class="number">${dayTime(data.at)}</span></span></p>
      <ul class="card list checks">${sorted.map((one) => html`<li key=${one.name} data-check=${one.name}>
        <div class="row"><${Tag} kind=${KINDS[one.state]}>${t(`doctor.state.${one.state}`)}<//>
          <strong>${has(`doctor.${one.name}`) ? t(`doctor.${one.name}`) : one.name}</strong>
          <span lang="en">${one.found}</span></div>
        ${one.state !== "ok" && html`<p class="quiet small">${means(one)}</p>`}
        ${one.todo && html`<p class="small todo" lang="en">→ ${one.todo}</p>`}</li>`)}</ul>`}
  </div>`;
}
