// The keys, always in the same place. A key that does nothing now is grey and says why, also when it is
// pressed; nothing that is pressed while the connection is lost is done later.
import { Dialog, html, tell, tellError, useEffect, useNow, useRef, useState } from "../shared/shell.js";
import { http } from "../shared/http.js";
import { has, t } from "../shared/i18n.js";

const MODES = ["transfer", "conference", "consult"];
const FIRST = 3; // desks with a key of their own size; the rest in the list
const PAD = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];

function Key({ label, hint, why, onPress, class: more = "", pressed, name }) {
  return html`<button class=${`key ${more}`} data-key=${name} title=${why || undefined}
    aria-disabled=${why ? "true" : undefined} aria-pressed=${pressed === undefined ? undefined : String(pressed)}
    aria-keyshortcuts=${hint ? hint.replace(" ", "+") : undefined}
    onClick=${() => (why ? tell(why, "bad") : onPress())}>
    <span>${label}</span>${hint && html`<kbd aria-hidden="true">${hint}</kbd>`}</button>`;
}

export function deskName(desk, id) {
  const found = desk.desks.find((one) => one.id === id);
  return found ? found.name : id;
}

/** Why something that needs the server cannot be done now, or null. */
function whyNot(desk, call, { running = false } = {}) {
  if (!desk.live.up) return t("desk.why.lost");
  if (!call || desk.leg(call).state !== "Up") return t("desk.why.noCall");
  if (!desk.hasCitizen(call)) return t("desk.why.noCitizen");
  if (!running && call.handover) return t("desk.why.running");
  return null;
}

export function Keys({ desk, proposal }) {
  const [mode, setMode] = useState("transfer");
  const [pad, setPad] = useState(false);
  const [sent, setSent] = useState(false);
  const sending = useRef(false); // at once: a second press may come before the page is drawn anew
  const call = desk.call;
  const doing = desk.doing;
  const browser = desk.uses === "browser";
  const phone = desk.phone;

  async function send(path, body, headers) {
    if (sending.current) return false;
    sending.current = true;
    setSent(true);
    try {
      await http.post(path, body, headers ? { headers } : {});
      return true;
    } catch (error) {
      tellError(error);
      return false;
    } finally {
      sending.current = false;
      setSent(false);
    }
  }
  const callPath = (what) => `/calls/${encodeURIComponent(call.id)}/${what}`;

  let whyAnswer = null;
  if (doing !== "ringing") whyAnswer = t("desk.why.notRinging");
  else if (!browser && !desk.mine.remote_answer) whyAnswer = t("desk.why.deskPhone");
  else if (!browser && !desk.live.up) whyAnswer = t("desk.why.lost");
  else if (browser && phone.call === "none") whyAnswer = t("desk.why.elsewhere"); // the PBX rings whoever registered last
  let whyPhone = null; // mute, hang up, keypad: by the browser's own phone, without the server
  if (!browser) whyPhone = t("desk.why.onPhone");
  else if (!phone || phone.call === "none") whyPhone = t("desk.why.noCall");
  const whyTalk = whyPhone || (phone.call !== "talking" ? t("desk.why.noCall") : null);
  const held = call && call.state === "held";
  const three = call && call.state === "three-way";
  let whyHold = whyNot(desk, call);
  if (held && desk.live.up) whyHold = null;
  if (!whyHold && three) whyHold = t("desk.why.three");
  let whyDesk = whyNot(desk, call);
  if (!whyDesk && held) whyDesk = t("desk.why.held");
  if (!whyDesk && three && mode === "consult") whyDesk = t("desk.why.three");
  if (sent) {
    whyHold ??= t("desk.why.sent");
    whyDesk ??= t("desk.why.sent");
  }

  async function press(id) {
    const key = crypto.randomUUID ? crypto.randomUUID() : `${Date.now()}-${Math.random()}`;
    const room = `/conferences/${encodeURIComponent(call.id)}`;
    const path = !three ? callPath(mode) : mode === "conference" ? `${room}/invite` : `${room}/transfer`;
    if (await send(path, { desk: id }, { "Idempotency-Key": key })) setMode("transfer");
  }

  const own = desk.desks.filter((one) => one.kind === "desk");
  const first = own.slice(0, FIRST);
  const rest = desk.desks.filter((one) => one.kind !== "outside" && !first.includes(one));
  const presses = {
    KeyA: [whyAnswer, () => (browser ? phone.answer() : send(callPath("answer")))],
    KeyH: [whyHold, () => send(callPath(held ? "resume" : "hold"))],
    KeyM: [whyTalk, () => phone.setMuted(!phone.muted)],
    KeyX: [whyPhone, () => phone.hangUp()],
    KeyK: [whyTalk, () => setPad(true)],
    KeyT: [null, () => setMode(mode === "conference" ? "transfer" : "conference")],
    KeyC: [null, () => setMode(mode === "consult" ? "transfer" : "consult")],
    ...Object.fromEntries(first.map((one, at) => [`Digit${at + 1}`, [whyDesk, () => press(one.id)]])),
  };
  useEffect(() => {
    function pressed(event) {
      if (!event.altKey || event.ctrlKey || event.metaKey || event.repeat) return;
      const found = presses[event.code];
      if (!found) return;
      event.preventDefault();
      if (found[0]) tell(found[0], "bad");
      else found[1]();
    }
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  });

  useEffect(() => {
    if (whyTalk) setPad(false); // the call has ended: nothing hears the keypad any more
  }, [Boolean(whyTalk)]);

  return html`<section class="card keys" aria-label=${t("desk.keys")}>
    <div class="grid">
      <${Key} name="answer" class="answer" label=${t("desk.key.answer")} hint="Alt A" why=${whyAnswer} onPress=${presses.KeyA[1]} />
      <${Key} name="hold" label=${held ? t("desk.key.resume") : t("desk.key.hold")} hint="Alt H" why=${whyHold} pressed=${Boolean(held)} onPress=${presses.KeyH[1]} />
      <${Key} name="mute" label=${phone && phone.muted ? t("desk.key.unmute") : t("desk.key.mute")} hint="Alt M" why=${whyTalk} pressed=${Boolean(phone && phone.muted)} onPress=${presses.KeyM[1]} />
      <${Key} name="hangup" class="danger" label=${t("desk.key.hangup")} hint="Alt X" why=${whyPhone} onPress=${presses.KeyX[1]} />
      ${first.map((one, at) => html`<${Key} key=${one.id} name=${`desk-${one.id}`} hint=${`Alt ${at + 1}`} why=${whyDesk}
        class=${`desk ${proposal && proposal.desk === one.id ? (proposal.urgent ? "urgent" : "proposed") : ""}`}
        label=${html`${one.name}${proposal && proposal.desk === one.id && html` <small>${t(proposal.urgent ? "desk.key.urgent" : "desk.key.proposed")}</small>`}`}
        onPress=${() => press(one.id)} />`)}
      <${Key} name="pad" label=${t("desk.key.pad")} hint="Alt K" why=${whyTalk} onPress=${presses.KeyK[1]} />
    </div>
    <div class="row mode" role="group" aria-label=${t("desk.mode")}>
      <span class="quiet small">${t("desk.mode")}</span>
      ${MODES.map((one) => html`<button key=${one} class="small" data-mode=${one} aria-pressed=${String(mode === one)}
        onClick=${() => setMode(one)}>${t(`desk.mode.${one}`)}${one === "conference" ? html` <kbd aria-hidden="true">Alt T</kbd>` : one === "consult" ? html` <kbd aria-hidden="true">Alt C</kbd>` : null}</button>`)}
      ${rest.length > 0 && html`<select class="more" aria-label=${t("desk.keys.moreLabel")} value="" aria-disabled=${whyDesk ? "true" : undefined}
        onChange=${(event) => {
          const id = event.target.value;
          event.target.value = "";
          if (!id) return;
          if (whyDesk) tell(whyDesk, "bad");
          else press(id);
        }}>
        <option value="">${t("desk.keys.more")}…</option>
        ${rest.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}
      </select>`}
    </div>
    <${Progress} desk=${desk} send=${send} sent=${sent} />
    ${pad && html`<${Keypad} phone=${phone} onClose=${() => setPad(false)} />`}
  </section>`;
}

function Keypad({ phone, onClose }) {
  const [dialled, setDialled] = useState("");
  const dial = (key) => {
    phone.dial(key);
    setDialled((before) => before + key);
  };
  return html`<${Dialog} title=${t("desk.key.pad")} onClose=${onClose}>
    <p class="number big" aria-live="polite">${dialled || "\u00a0"}</p>
    <div class="pad" onKeyDown=${(event) => PAD.includes(event.key) && dial(event.key)}>
      ${PAD.map((key) => html`<button key=${key} data-pad=${key} onClick=${() => dial(key)}>${key}</button>`)}
    </div>
  <//>`;
}

/** What is happening to the hand-over, in words, and what can be done about it. */
function Progress({ desk, send, sent }) {
  const going = desk.progress;
  const now = useNow(Boolean(going && going.state !== "ended"));
  const call = desk.call;
  const name = going && deskName(desk, going.desk);
  const lines = [];
  if (going && going.state === "offered") {
    lines.push(t("desk.go.ringing", { desk: name, s: Math.max(0, Math.floor((now - going.since) / 1000)) }));
  } else if (going && going.state === "answered") {
    lines.push(t(going.kind === "consult" ? "desk.go.asking" : "desk.go.answered", { desk: name }));
  } else if (going) {
    const joined = going.outcome === "accepted" && (going.kind === "three-way" || going.joined || (call && call.state === "three-way"));
    const known = has(`desk.go.${going.outcome}`) ? going.outcome : "failed";
    lines.push(t(`desk.go.${joined ? "joined" : known}`, { desk: name }));
    const back = going.outcome !== "accepted" && going.outcome !== "caller_gone";
    if (back && (going.to || (going.kind !== "three-way" && call))) lines.push(t(`desk.back.${going.to || "agent"}`));
  }
  const command = (what) => send(`/handovers/${encodeURIComponent(going.id)}/${what}`);
  const asks = going && going.state === "answered" && going.kind === "consult";
  const button = (what, words, primary) => html`<button class=${`small ${primary ? "primary" : ""}`} data-do=${what}
    aria-disabled=${sent || !desk.live.up ? "true" : undefined}
    onClick=${() => (desk.live.up ? !sent && command(what) : tell(t("desk.why.lost"), "bad"))}>${t(words)}</button>`;
  return html`<div class=${`progress ${going ? "" : "empty"} ${going && going.state === "ended" ? (going.outcome === "accepted" ? "good" : "warn") : ""}`}>
    <p role="status" aria-live="polite" data-progress=${going ? going.outcome || going.state : ""}>${lines.join(t("and.sentence"))}</p>
    ${asks && html`<div class="row">${button("complete", "desk.key.complete", true)}${button("cancel", "desk.key.cancel")}${button("join", "desk.key.join")}</div>`}
    ${going && going.state === "offered" && going.kind === "consult" && html`<div class="row">${button("cancel", "desk.key.cancelCall")}</div>`}
    ${call && call.state === "three-way" && desk.leg(call).state === "Up" && html`<${Room} desk=${desk} call=${call} />`}
  </div>`;
}

function Room({ desk, call }) {
  const room = `/conferences/${encodeURIComponent(call.id)}`;
  const others = call.parties.filter((one) => one.role !== "citizen" && one.party !== desk.me && one.state === "Up" && one.party);
  async function act(work, said) {
    if (!desk.live.up) {
      tell(t("desk.why.lost"), "bad");
      return;
    }
    try {
      await work();
      if (said) tell(said, "good");
    } catch (error) {
      tellError(error);
    }
  }
  return html`<div class="room">
    <p class="small quiet">${t("desk.three.who")}</p>
    <div class="row">
      ${others.map((one) => html`<button key=${one.uniqueid} class="small" data-do=${`taken-${one.party}`}
        onClick=${() => act(() => http.post(`${room}/outcome`, { outcome: "taken-by", desk: one.party }), t("desk.three.taken", { who: deskName(desk, one.party) }))}>${t("desk.key.takenBy", { who: deskName(desk, one.party) })}</button>`)}
      <button class="small" data-do="undecided" onClick=${() => act(() => http.post(`${room}/outcome`, { outcome: "undecided" }), t("desk.three.undecided"))}>${t("desk.key.undecided")}</button>
      ${others.map((one) => html`<button key=${`out-${one.uniqueid}`} class="small" data-do=${`remove-${one.party}`}
        onClick=${() => act(() => http.del(`${room}/parties/${encodeURIComponent(one.uniqueid)}`))}>${t("desk.key.remove", { who: deskName(desk, one.party) })}</button>`)}
    </div></div>`;
}
