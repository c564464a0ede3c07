// What the citizen wants, written down beside the call and saved as one types.
import { Field, html, useEffect, useEvents, useRef, useState } from "../shared/shell.js";
import { http } from "../shared/http.js";
import { t, words } from "../shared/i18n.js";

const KINDS = ["咨询", "建议", "求助", "表扬", "投诉"];
const SEARCH_MS = 150;

words({
  zh: {
    "form.title": "工单 {case}", "form.before": "上一个电话的工单", "form.none": "接起来电后在这里填写工单。", "form.kind": "类别", "form.matter": "事项", "form.matterHint": "可输入汉字、拼音或首字母，如 jtsg",
    "form.summary": "内容摘要", "form.citizen": "市民", "form.citizen_name": "姓名", "form.citizen_phone": "联系电话", "form.citizen_address": "地址",
    "form.alarm": "报警要素", "form.happened_at": "时间", "form.place": "地点", "form.what": "事由", "form.phone": "现场电话", "form.position": "坐标", "form.positionHint": "纬度,经度，如 41.5703,120.4508",
    "form.state.new": "正在打开…", "form.state.ready": "改动会自动保存", "form.state.typing": "未保存…", "form.state.saving": "正在保存…", "form.state.saved": "已保存", "form.state.kept": "已存在本机，恢复连接后自动保存", "form.state.wrong": "没有保存：请看标出的地方", "form.state.absent": "您不能看这个工单", "form.state.refused": "没有保存：{why}",
    "form.proposed": "建议转接：{desk}", "form.urgent": "紧急：立即转接 {desk}", "form.noMatch": "没有完全匹配的事项；以下最接近", "form.nothing": "没有这样的事项", "form.found": "{n} 个事项", "form.sample": "（示例目录）",
  },
  en: {
    "form.title": "Case {case}", "form.before": "Case of the last call", "form.none": "The case is written here once a call is answered.", "form.kind": "Kind", "form.matter": "Matter", "form.matterHint": "Words, pinyin or first letters, such as jtsg",
    "form.summary": "Summary", "form.citizen": "Citizen", "form.citizen_name": "Name", "form.citizen_phone": "Telephone", "form.citizen_address": "Address",
    "form.alarm": "For an alarm", "form.happened_at": "When", "form.place": "Where", "form.what": "What", "form.phone": "Phone on the spot", "form.position": "Position", "form.positionHint": "latitude,longitude, such as 41.5703,120.4508",
    "form.state.new": "Opening …", "form.state.ready": "Saved as you type", "form.state.typing": "Not saved yet …", "form.state.saving": "Saving …", "form.state.saved": "Saved", "form.state.kept": "Kept in this browser; saved when the connection is back", "form.state.wrong": "Not saved: see the marked places", "form.state.absent": "You may not see this case", "form.state.refused": "Not saved: {why}",
    "form.proposed": "Proposed: hand over to {desk}", "form.urgent": "Urgent: hand over to {desk} at once", "form.noMatch": "No matter holds these words; the nearest are", "form.nothing": "There is no such matter", "form.found": "{n} matters", "form.sample": " (sample directory)",
  },
});

export function CaseForm({ desk, drafts, number, proposal, deskName }) {
  useEvents(drafts, "change");
  if (!number) return html`<p class="quiet">${t("form.none")}</p>`;
  const draft = drafts.of(number);
  const off = draft.saved === null && !draft.dirty;
  const field = (name, input, { class: more, hint } = {}) => html`<${Field} key=${`${number}-${name}`} label=${t(`form.${name}`)} error=${draft.errors[name]} hint=${hint} class=${more}>
    ${input}
  <//>`;
  const text = (name, props = {}) => html`<input name=${name} autocomplete="off" disabled=${off} ...${props} value=${draft.value(name)} onInput=${(event) => draft.set(name, event.target.value)} />`;
  const area = (name, rows) => html`<textarea name=${name} rows=${rows} disabled=${off} value=${draft.value(name)} onInput=${(event) => draft.set(name, event.target.value)}></textarea>`;
  return html`<form class="stack case" onSubmit=${(event) => event.preventDefault()} aria-label=${t("form.title", { case: number })}>
    <p class="spread"><span class="small quiet">${desk.call && desk.call.case !== number ? `${t("form.before")} ` : ""}<span class="mono">${number}</span></span>
      <span class=${`small ${draft.state === "wrong" || draft.state === "refused" ? "error" : "quiet"}`} role="status" data-saved=${draft.state}>${t(`form.state.${draft.state}`, { why: draft.why || "" })}</span></p>
    <div class="form-grid">
      ${field("kind", html`<select name="kind" disabled=${off} value=${draft.value("kind")} onChange=${(event) => draft.set("kind", event.target.value)}>
        <option value=""></option>${KINDS.map((kind) => html`<option key=${kind} value=${kind}>${t(`kind.${kind}`)}</option>`)}</select>`)}
      <${Matter} draft=${draft} off=${off} key=${number} />
      ${proposal && proposal.desk && html`<p class=${`wide proposal tag ${proposal.urgent ? "bad" : "accent"}`} role="status" data-proposal=${proposal.desk}>${t(proposal.urgent ? "form.urgent" : "form.proposed", { desk: deskName(desk, proposal.desk) })}</p>`}
      ${field("summary", area("summary", 4), { class: "wide" })}
    </div>
    <fieldset><legend>${t("form.citizen")}</legend><div class="form-grid">
      ${field("citizen_name", text("citizen_name"))}
      ${field("citizen_phone", text("citizen_phone", { inputmode: "tel" }))}
      ${field("citizen_address", text("citizen_address"), { class: "wide" })}
    </div></fieldset>
    <fieldset><legend>${t("form.alarm")}</legend><div class="form-grid">
      ${field("happened_at", text("happened_at", { type: "datetime-local" }))}
      ${field("phone", text("phone", { inputmode: "tel" }))}
      ${field("place", text("place"), { class: "wide" })}
      ${field("what", area("what", 2), { class: "wide" })}
      ${field("position", text("position"), { hint: t("form.positionHint"), class: "wide" })}
    </div></fieldset>
  </form>`;
}

/** The matter, found by words, pinyin or its first letters (a combobox by the ARIA practices). */
function Matter({ draft, off }) {
  const [typed, setTyped] = useState(null); // null: what the case holds is shown
  const [found, setFound] = useState(null);
  const [at, setAt] = useState(0);
  const asked = useRef(0);
  useEffect(() => {
    if (typed === null || typed.trim() === "") {
      setFound(null);
      return undefined;
    }
    const mine = ++asked.current;
    const timer = setTimeout(async () => {
      try {
        const page = await http.get("/matters", { q: typed, limit: 8 });
        if (mine === asked.current) {
          setFound(page);
          setAt(0);
        }
      } catch {
        if (mine === asked.current) setFound(null); // the words stay, and are sent as they are
      }
    }, SEARCH_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  useEffect(() => {
    addEventListener("pagehide", leave); // the page goes while one types: the words are kept
    return () => removeEventListener("pagehide", leave);
  });
  const open = typed !== null && found !== null;

  function choose(matter) {
    asked.current++;
    draft.set("matter", matter.name);
    setTyped(null);
    setFound(null);
  }
  function leave() {
    // Words that were typed and not chosen count as they are: the server says when it does not know them.
    if (typed !== null) draft.set("matter", typed.trim());
    setTyped(null);
    setFound(null);
  }
  function key(event) {
    if (!open) return;
    const last = found.items.length - 1;
    if (event.key === "ArrowDown") setAt(Math.min(at + 1, last));
    else if (event.key === "ArrowUp") setAt(Math.max(at - 1, 0));
    else if (event.key === "Enter" && found.items[at]) choose(found.items[at]);
    else if (event.key === "Escape") {
      setTyped(null);
      setFound(null);
    } else return;
    event.preventDefault();
  }
  return html`<div class="combo"><${Field} label=${t("form.matter")} error=${draft.errors.matter} hint=${t("form.matterHint")}>
    <input name="matter" autocomplete="off" disabled=${off} role="combobox" aria-autocomplete="list" aria-expanded=${String(open)} aria-controls="matters"
      aria-activedescendant=${open && found.items[at] ? `matter-${found.items[at].code}` : undefined}
      value=${typed ?? draft.value("matter")} onInput=${(event) => setTyped(event.target.value)} onKeyDown=${key} onBlur=${leave} />
  <//>
  <ul id="matters" role="listbox" aria-label=${t("form.matter")} class=${open ? "options" : "none"}>
    ${open && found.items.map((one, index) => html`<li key=${one.code} id=${`matter-${one.code}`} role="option" aria-selected=${String(index === at)}
      onMouseDown=${(event) => {
        event.preventDefault();
        choose(one);
      }}><span>${one.name}</span><span class="quiet small">${one.category} · ${one.desk}</span></li>`)}
  </ul>
  <small class="quiet" role="status">${open ? (found.items.length === 0 ? t("form.nothing") : found.exact ? "" : t("form.noMatch")) : ""}</small></div>`;
}
