// Messages and missed calls: who is to be called back, worked through from the top.
import { Dialog, Field, html, tell, tellError, useEffect, useRef, useState } from "../shared/shell.js";
import { errorWords, http } from "../shared/http.js";
import { dayTime, t, words } from "../shared/i18n.js";

const AGAIN_MS = 60000;
const VIEWS = ["waiting", "mine", "done"];

words({
  zh: {
    "todo.waiting": "待回拨", "todo.mine": "我的", "todo.done": "已处理", "todo.view": "显示", "todo.none": "没有待办。", "todo.message": "留言", "todo.missed": "漏接", "todo.due": "限 {at} 前回拨", "todo.late": "已超期",
    "todo.calls": "来过 {n} 次", "todo.holder": "{who} 在处理", "todo.tries": "未接通 {n} 次", "todo.listen": "听留言", "todo.take": "我来处理", "todo.return": "退回", "todo.call": "回拨", "todo.outcome": "填写结果", "todo.noSound": "录音缺失",
    "todo.result": "处理结果", "todo.wrong": "号码不对（别人接的）", "todo.save": "办结", "todo.calling": "正在回拨：您的话机先振铃", "todo.player": "{who} 的留言", "todo.length": "{s} 秒", "todo.more": "更多", "todo.lost": "没有执行：与服务器的连接中断。恢复后再按。", "todo.failed": "列表没有载入：{why}", "todo.given": "结果：{result}",
    "todo.state.answered": "已答复", "todo.state.served": "再次来电已接", "todo.state.given_up": "多次未接通", "todo.state.open": "待处理", "todo.last.unanswered": "无人接听", "todo.last.busy": "占线", "todo.last.declined": "拒接", "todo.last.failed": "未接通", "todo.last.reached": "已接通", "todo.last.wrong-number": "号码不对",
  },
  en: {
    "todo.waiting": "To call back", "todo.mine": "Mine", "todo.done": "Done", "todo.view": "Show", "todo.none": "Nothing to do.", "todo.message": "Message", "todo.missed": "Missed", "todo.due": "call back by {at}", "todo.late": "late",
    "todo.calls": "called {n} times", "todo.holder": "{who} is on it", "todo.tries": "not reached {n} times", "todo.listen": "Listen", "todo.take": "Take it", "todo.return": "Give back", "todo.call": "Call back", "todo.outcome": "Outcome", "todo.noSound": "No sound",
    "todo.result": "What came of it", "todo.wrong": "Wrong number (somebody else answered)", "todo.save": "Done", "todo.calling": "Calling back: your phone rings first", "todo.player": "Message of {who}", "todo.length": "{s} s", "todo.more": "More", "todo.lost": "Not done: the connection to the server is lost. Press again when it is back.", "todo.failed": "The list did not load: {why}", "todo.given": "Outcome: {result}",
    "todo.state.answered": "Answered", "todo.state.served": "Called again, was answered", "todo.state.given_up": "Not reached", "todo.state.open": "Open", "todo.last.unanswered": "no answer", "todo.last.busy": "busy", "todo.last.declined": "declined", "todo.last.failed": "failed", "todo.last.reached": "reached", "todo.last.wrong-number": "wrong number",
  },
});

const LISTS = {
  waiting: () => ["/callbacks", {}],
  mine: (me) => ["/messages", { state: "open", holder: me }],
  done: () => ["/messages", { state: "answered" }],
};

export function Todo({ desk, onCount, shown }) {
  const [view, setView] = useState("waiting");
  const [page, setPage] = useState(null);
  const [failed, setFailed] = useState(null);
  const [open, setOpen] = useState(null); // {id, what: listen | outcome}
  const asked = useRef(0);

  async function load(cursor) {
    const mine = ++asked.current;
    try {
      const [path, query] = LISTS[view](desk.me);
      const found = await http.get(path, { ...query, cursor, limit: 30 });
      if (mine !== asked.current) return;
      setFailed(null);
      setPage((before) => (cursor && before ? { ...found, items: [...before.items, ...found.items] } : found));
      if (view === "waiting" && !cursor) onCount(found.items.length, Boolean(found.next));
    } catch (error) {
      if (mine === asked.current) setFailed(errorWords(error));
    }
  }
  useEffect(() => {
    load();
    const timer = setInterval(() => load(), AGAIN_MS);
    let soon;
    // A call that has ended may have left a message or a missed call.
    const ended = (event) => {
      if (!event.detail.calls_gone && event.detail.type !== "snapshot") return;
      clearTimeout(soon);
      soon = setTimeout(() => load(), 1500);
    };
    desk.live.addEventListener("change", ended);
    return () => {
      clearInterval(timer);
      clearTimeout(soon);
      desk.live.removeEventListener("change", ended);
    };
  }, [view]);

  async function act(work, words) {
    if (!desk.live.up) {
      tell(t("todo.lost"), "bad");
      return false;
    }
    try {
      await work();
      if (words) tell(words, "good");
      await load();
      return true;
    } catch (error) {
      tellError(error);
      return false;
    }
  }
  if (!shown) return null;
  const items = page ? page.items : [];
  return html`<div class="stack todo">
    <div class="row" role="group" aria-label=${t("todo.view")}>
      ${VIEWS.map((one) => html`<button key=${one} class="small" data-view=${one} aria-pressed=${String(view === one)} onClick=${() => setView(one)}>${t(`todo.${one}`)}</button>`)}
    </div>
    ${failed && html`<p class="error" role="alert">${t("todo.failed", { why: failed })}</p>`}
    ${page && items.length === 0 && html`<p class="quiet">${t("todo.none")}</p>`}
    <ul class="list">${items.map((one) => html`<${Item} key=${one.id} one=${one} desk=${desk} act=${act}
      listening=${open && open.id === one.id && open.what === "listen"} onOpen=${(what) => setOpen(open && open.id === one.id && open.what === what ? null : { id: one.id, what, one })} />`)}</ul>
    ${page && page.next && html`<button class="small" onClick=${() => load(page.next)}>${t("todo.more")}</button>`}
    ${open && open.what === "outcome" && html`<${Outcome} one=${open.one} act=${act} onClose=${() => setOpen(null)} />`}
  </div>`;
}

function Item({ one, desk, act, listening, onOpen }) {
  const mine = one.holder === desk.me;
  const path = `/messages/${encodeURIComponent(one.id)}`;
  const late = one.due_at && Date.parse(one.due_at) < Date.now() && one.state === "open";
  const who = one.number || one.caller || "";
  const isOpen = one.state === "open";
  return html`<li data-message=${one.id}>
    <div class="spread"><span class="row"><strong class="number">${who}</strong>
        <span class=${`tag ${one.kind === "message" ? "accent" : ""}`}>${t(`todo.${one.kind}`)}</span>
        ${one.length_s && html`<span class="quiet small">${t("todo.length", { s: Math.round(one.length_s) })}</span>`}
        ${one.calls > 1 && html`<span class="quiet small">${t("todo.calls", { n: one.calls })}</span>`}</span>
      <span class="quiet small">${dayTime(one.at)}</span></div>
    <div class="row small quiet">
      ${isOpen && one.due_at && html`<span class=${late ? "error" : ""}>${t("todo.due", { at: dayTime(one.due_at) })}${late ? ` · ${t("todo.late")}` : ""}</span>`}
      ${one.holder && html`<span>${t("todo.holder", { who: one.holder })}</span>`}
      ${one.tries > 0 && html`<span>${t("todo.tries", { n: one.tries })}${one.last_outcome ? ` (${t(`todo.last.${one.last_outcome}`)})` : ""}</span>`}
      ${!isOpen && html`<span>${t(`todo.state.${one.state}`)}</span>`}
      ${one.result && html`<span>${t("todo.given", { result: one.result })}</span>`}</div>
    <div class="row">
      ${one.kind === "message" && (one.sound === "missing"
        ? html`<span class="tag bad">${t("todo.noSound")}</span>`
        : html`<button class="small" data-do="listen" aria-expanded=${String(listening)} onClick=${() => onOpen("listen")}>${t("todo.listen")}</button>`)}
      ${isOpen && !one.holder && html`<button class="small" data-do="take" onClick=${() => act(() => http.post(`${path}/take`))}>${t("todo.take")}</button>`}
      ${isOpen && mine && html`<button class="small" data-do="return" onClick=${() => act(() => http.post(`${path}/return`))}>${t("todo.return")}</button>`}
      ${isOpen && (mine || !one.holder) && desk.mine && desk.mine.callbacks && html`<button class="small primary" data-do="call-back"
        onClick=${() => act(() => http.post(`${path}/call-back`), t("todo.calling"))}>${t("todo.call")}</button>`}
      ${isOpen && mine && html`<button class="small" data-do="outcome" onClick=${() => onOpen("outcome")}>${t("todo.outcome")}</button>`}
    </div>
    ${listening && html`<audio controls autoplay preload="auto" aria-label=${t("todo.player", { who })} src=${`/api/v1${path}/sound`}></audio>`}
  </li>`;
}

function Outcome({ one, act, onClose }) {
  const [result, setResult] = useState("");
  const [wrong, setWrong] = useState(false);
  const [error, setError] = useState("");
  async function save(event) {
    event.preventDefault();
    if (!result.trim()) {
      setError(t("field.required"));
      return;
    }
    const body = { result: result.trim(), outcome: wrong ? "wrong-number" : null };
    if (await act(() => http.post(`/messages/${encodeURIComponent(one.id)}/answered`, body))) onClose();
  }
  return html`<${Dialog} title=${t("todo.outcome")} onClose=${onClose}>
    <form class="stack" onSubmit=${save}>
      <${Field} label=${t("todo.result")} error=${error}><textarea name="result" rows="3" value=${result}
        onInput=${(event) => {
          setResult(event.target.value);
          setError("");
        }}></textarea><//>
      <label class="row"><input type="checkbox" checked=${wrong} onChange=${(event) => setWrong(event.target.checked)} /> ${t("todo.wrong")}</label>
      <div class="row"><button class="primary" type="submit">${t("todo.save")}</button></div>
    </form><//>`;
}
