// The floor as it is now: who waits, who talks with whom, who is ready, today's figures.
import { html, useEffect, useMemo, useState } from "../vendor/preact-htm.js";
import { http } from "../shared/http.js";
import { duration, has, t, word } from "../shared/i18n.js";
import { Dialog, Field, tell, tellError, useEvents } from "../shared/shell.js";
import { against, useFigures } from "./figures.js";
import { partyName } from "./names.js";
import { Empty, Heading, percent, Tag, Trouble } from "./parts.js";
import { link } from "./route.js";

const PHONE = "hotline.console.phone";
const ORDER = ["ringing", "talking", "ready", "wrap-up", "paused", "away", "signed-out"];
const AGENT_KIND = { ready: "good", talking: "accent", ringing: "accent", paused: "warn", "wrap-up": "", away: "bad", "signed-out": "" };
const CALL_KIND = { queued: "warn", ringing: "accent", talking: "good", held: "warn", parked: "warn", "handing-over": "accent", "three-way": "accent" };

/** The server's time now in ms, anew every second: clocks of machines differ. */
export function useServerNow(live) {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    let ahead = 0;
    const tick = () => set(Date.now() + ahead);
    const onChange = (event) => {
      if (!event.detail || !event.detail.at) return;
      ahead = Date.parse(event.detail.at) - Date.now();
      tick();
    };
    live.addEventListener("change", onChange);
    const timer = setInterval(tick, 1000);
    return () => {
      clearInterval(timer);
      live.removeEventListener("change", onChange);
    };
  }, [live]);
  return now;
}

export const waiting = (live) => [...live.queues.values()].flatMap((queue) => queue.callers.map((one) => ({ ...one, queue: queue.queue })));
export const since = (iso, now) => (iso ? duration((now - Date.parse(iso)) / 1000) : "–");

/** How many are in each state, and who may talk: the numbers of the floor. */
export function counts(live) {
  const agents = [...live.agents.values()];
  const of = (...states) => agents.filter((one) => states.includes(one.state)).length;
  const calls = [...live.calls.values()];
  return {
    signedIn: agents.filter((one) => one.signed_in).length,
    ready: of("ready"), busy: of("talking", "ringing"), paused: of("paused", "wrap-up"), away: of("away"),
    talking: calls.filter((one) => ["talking", "three-way", "held", "handing-over"].includes(one.state)).length,
  };
}

export function Floor({ live, names, who }) {
  useEvents(live, "change", "state");
  const now = useServerNow(live);
  const figures = useFigures(live);
  const callers = waiting(live);
  const agents = [...live.agents.values()].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.id.localeCompare(b.id));
  const calls = [...live.calls.values()].sort((a, b) => (a.started_at || "").localeCompare(b.started_at || ""));
  return html`<div class="stack floor">
    <${Heading} tools=${html`<a class="button" href="#wall">${t("page.wall")}</a>`}>${t("page.floor")}<//>
    ${(live.pbxs || []).filter((one) => one.state !== "up").map((one) => html`<p class="trouble" role="alert" key=${one.name}>${t("floor.pbxDown", { name: one.name })}</p>`)}
    <${Strip} live=${live} callers=${callers} now=${now} figures=${figures} />
    <div class="floor-grid">
      <${Queue} callers=${callers} several=${live.queues.size > 1} now=${now} goal=${figures.now ? figures.now.answer_within_s : 15} />
      <${Calls} calls=${calls} now=${now} names=${names} who=${who} live=${live} />
      <${Agents} agents=${agents} now=${now} names=${names} />
    </div>
  </div>`;
}

function Strip({ live, callers, now, figures }) {
  const floor = counts(live);
  const { now: rolling, today } = figures;
  const longest = callers.length ? Math.max(...callers.map((one) => now - Date.parse(one.since))) / 1000 : null;
  const goal = rolling ? rolling.answer_within_s : 15;
  const target = rolling ? rolling.connect_target : 0.95;
  const share = today ? today.answered_in_time_share : null;
  const rate = rolling ? rolling.last_24_hours.connect_rate : null;
  return html`<section class="strip" aria-label=${t("floor.figures")}>
    <${Figure} name="waiting" value=${callers.length} note=${longest === null ? t("floor.nobodyWaits") : t("floor.longest", { lasts: duration(longest) })} kind=${longest === null ? "" : longest > goal ? "bad" : "warn"} />
    <${Figure} name="talking" value=${floor.talking} note=${t("floor.calls", { n: live.calls.size })} />
    <${Figure} name="ready" value=${`${floor.ready} / ${floor.signedIn}`} note=${t("floor.agentsNote", floor)} kind=${floor.signedIn && !floor.ready && callers.length ? "bad" : ""} />
    <${Figure} name="today" value=${today ? today.calls : "–"} note=${today ? t("floor.todayNote", { answered: today.answered, abandoned: today.abandoned }) : ""} />
    <${Figure} name="inTime" value=${percent(share)} note=${t("floor.goal", { goal: percent(target), s: goal })} kind=${against(share, target)} values=${{ s: goal }} />
    <${Figure} name="rate" value=${percent(rate)} note=${t("floor.goalRate", { goal: percent(target) })} kind=${against(rate, target)} />
    <${Figure} name="late" value=${figures.late === null ? "–" : `${figures.late}${figures.lateMore ? "+" : ""}`} href="#overdue" note=${t("floor.lateNote")} kind=${figures.late ? "bad" : ""} />
    ${figures.error && html`<${Trouble} error=${figures.error} />`}
  </section>`;
}

function Figure({ name, value, note, kind = "", href, values = {} }) {
  const inside = html`<span class="figure-name">${t(`figure.${name}`, values)}</span>
    <b class="figure-value number">${value}</b>
    <span class="figure-note">${kind === "good" ? `✓ ${t("goal.met")} · ` : kind === "bad" && /inTime|rate/.test(name) ? `✗ ${t("goal.missed")} · ` : ""}${note}</span>`;
  return href ? html`<a class=${`figure ${kind}`} href=${href} data-figure=${name}>${inside}</a>`
    : html`<div class=${`figure ${kind}`} data-figure=${name}>${inside}</div>`;
}

function Queue({ callers, now, goal, several }) {
  return html`<section class="card" aria-labelledby="queue-title"><h2 id="queue-title">${t("floor.queue")} <${Tag}>${callers.length}<//></h2>
    ${callers.length ? html`<ol class="list" data-part="queue">${callers.map((one) => {
      const late = (now - Date.parse(one.since)) / 1000 > goal;
      return html`<li class="spread" key=${one.call}><span><b class="number">${one.position}</b> <span class="number">${one.caller || t("story.hidden")}</span>${several && html` <${Tag}>${one.queue}<//>`}</span>
        <span class=${`number ${late ? "error" : ""}`}>${since(one.since, now)}${late ? ` · ${t("floor.tooLong")}` : ""}</span></li>`;
    })}</ol>` : html`<${Empty}>${t("floor.nobodyWaits")}<//>`}
  </section>`;
}

function Agents({ agents, now, names }) {
  return html`<section class="card wide" aria-labelledby="agents-title"><h2 id="agents-title">${t("floor.agents")} <${Tag}>${agents.length}<//></h2>
    ${agents.length ? html`<ul class="agents" data-part="agents">${agents.map((one) => html`<li key=${one.id} class=${`agent ${AGENT_KIND[one.state] || ""}`} data-agent=${one.id} data-state=${one.state}>
      <span class="spread"><b>${one.name || one.id}</b><span class="quiet number small">${one.name ? one.id : ""}</span></span>
      <span class="spread"><${Tag} kind=${AGENT_KIND[one.state]}>${t(`agent.${one.state}`)}${one.paused && one.reason ? `${t("and.colon")}${names.reason(one.reason)}` : ""}<//>
        <span class="number small quiet">${one.since ? since(one.since, now) : ""}</span></span></li>`)}</ul>`
      : html`<${Empty}>${t("floor.noAgents")}<//>`}
  </section>`;
}

function Calls({ calls, now, names, who, live }) {
  const [asked, ask] = useState(null);
  const may = !!who.may_monitor;
  async function monitor(call, mode, phone) {
    try {
      await http.post(`/calls/${encodeURIComponent(call.id)}/monitor`, { mode, phone });
      tell(t("monitor.rings", { phone, mode: t(`mode.${mode}`) }), "good");
      return true;
    } catch (error) {
      if (error.code === "agent-not-found") {
        keepPhone(""); // asked for again at the next press
        tell(t("monitor.unknown", { phone }), "bad");
      } else tellError(error);
      return false;
    }
  }
  function press(call, mode) {
    const phone = keptPhone();
    if (phone) monitor(call, mode, phone);
    else ask({ call, mode });
  }
  return html`<section class="card calls" aria-labelledby="calls-title">
    <h2 id="calls-title" class="spread"><span>${t("floor.talks")} <${Tag}>${calls.length}<//></span>
      ${may && html`<button class="plain small" onClick=${() => ask({})}>${keptPhone() ? t("monitor.phone", { phone: keptPhone() }) : t("monitor.choose")}</button>`}</h2>
    ${calls.length ? html`<ul class="list" data-part="calls">${calls.map((call) => html`<li key=${call.id} class="call" data-call=${call.id} data-state=${call.state}>
      <div class="spread"><span class="row"><${Tag} kind=${CALL_KIND[call.state] || ""}>${t(`call.${call.state}`)}<//>
        <b class="number">${call.caller || t("story.hidden")}</b>${call.nuisance && html`<${Tag} kind="bad">${word("nuisance", call.nuisance.kind)}<//>`}</span>
        <span class="number">${since(call.started_at, now)}</span></div>
      <div class="row small"><${Parties} call=${call} names=${names} /></div>
      ${call.handover && html`<p class="small">${t(`running.${call.handover.state === "answered" ? "answered" : "offered"}`, { desk: partyName(call.handover.desk, names), by: partyName(call.handover.by, names) })}${call.handover.reason ? `${t("and.colon")}${call.handover.reason}` : ""}</p>`}
      <div class="row">${call.case && html`<a class="small" href=${link("case", [call.case])}>${t("case")} ${call.case}</a>`}
        ${may && call.parties.some((one) => one.role === "agent" && one.with_citizen) && ["listen", "whisper", "barge"].map((mode) => html`<button class="small" key=${mode}
          disabled=${!live.up} title=${t(`mode.${mode}.hint`)} onClick=${() => press(call, mode)}>${t(`mode.${mode}`)}</button>`)}</div>
    </li>`)}</ul>` : html`<${Empty}>${t("floor.noCalls")}<//>`}
    ${asked && html`<${AskPhone} call=${asked.call} onClose=${() => ask(null)} onDone=${(phone) => {
      ask(null);
      if (asked.call) monitor(asked.call, asked.mode, phone);
    }} />`}
  </section>`;
}

function Parties({ call, names }) {
  const others = call.parties.filter((one) => one.role !== "citizen");
  if (!others.length) return html`<span class="quiet">${t("floor.alone")}</span>`;
  return others.map((one) => html`<span key=${one.uniqueid} class="party">
    <span>${t(`role.${has(`role.${one.role}`) ? one.role : "other"}`)}</span> <b>${partyName(one.party, names) || "–"}</b>
    <span class="quiet">${one.held ? t("party.held") : one.with_citizen ? t("party.with") : one.state === "Up" ? t("party.up") : t("party.ringing")}</span></span>`);
}

function keptPhone() {
  try {
    return localStorage.getItem(PHONE) || sessionPhone;
  } catch {
    return sessionPhone;
  }
}
let sessionPhone = "";

function keepPhone(phone) {
  sessionPhone = phone;
  try {
    localStorage.setItem(PHONE, phone);
  } catch {
    // kept as long as the page
  }
}

function AskPhone({ onClose, onDone }) {
  const [phone, set] = useState(keptPhone());
  const error = useMemo(() => (phone && !/^\d{2,10}$/.test(phone) ? t("monitor.digits") : ""), [phone]);
  const [tried, setTried] = useState(false);
  function save(event) {
    event.preventDefault();
    setTried(true);
    if (!phone || error) return;
    keepPhone(phone);
    onDone(phone);
  }
  return html`<${Dialog} title=${t("monitor.title")} onClose=${onClose}><form class="stack" novalidate onSubmit=${save}>
    <p>${t("monitor.why")}</p>
    <${Field} label=${t("monitor.extension")} error=${error || (tried && !phone ? t("field.required") : "")}>
      <input inputmode="numeric" value=${phone} onInput=${(event) => set(event.target.value.trim())} /><//>
    <div class="row"><button class="primary" type="submit">${t("ok")}</button><button type="button" onClick=${onClose}>${t("cancel")}</button></div>
  </form><//>`;
}
