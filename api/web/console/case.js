// One case: what it is, how it went as a story, its calls as time lines, its ledger.
import { html, useState } from "../vendor/preact-htm.js";
import { dayTime, duration, has, t, time, word } from "../shared/i18n.js";
import { caseTag, dueTag, handoverTag } from "./lists.js";
import { partyName } from "./names.js";
import { acts, Empty, Heading, Loading, Tag, Trouble, useLoad } from "./parts.js";
import { tell } from "./story.js";
import { Timeline } from "./timeline.js";

export function Case({ parts, names, who }) {
  const id = parts[0] || "";
  const path = `/cases/${encodeURIComponent(id)}`;
  const story = useLoad(`${path}/story`);
  const whole = useLoad(path);
  const check = useLoad(`${path}/ledger/check`);
  if (story.error) return html`<div class="stack"><${Heading}>${t("case")} ${id}<//><div class="card"><${Trouble} error=${story.error} again=${story.again} /></div></div>`;
  if (!story.data) return html`<div class="stack"><${Heading}>${t("case")} ${id}<//><${Loading} /></div>`;
  const one = story.data;
  return html`<div class="stack case">
    <${Heading} tools=${html`<span class="row">${caseTag(one)}${one.due_at && dueTag(one)}</span>`}>${t("case")} <span class="number">${one.case}</span><//>
    <div class="case-grid">
      <div class="stack">
        <${StoryOf} events=${one.events} names=${names} />
        <${Lines} events=${one.events} names=${names} />
        <${Messages} events=${one.events} id=${id} who=${who} />
        ${who.may_monitor && html`<${Recordings} id=${id} />`}
        <${Given} events=${one.events} names=${names} />
      </div>
      <div class="stack">
        <${Facts} one=${one} names=${names} />
        <${Numbers} one=${one} names=${names} />
        <${Deadlines} whole=${whole} names=${names} />
        <${Ledger} events=${one.events.filter((event) => event.ledger && event.case === one.case)} check=${check} names=${names} />
      </div>
    </div>
  </div>`;
}

const SIGN = { accepted: "good", closed: "good", failed: "bad", unanswered: "bad", declined: "bad", escalated: "bad", reminded: "warn", undecided: "warn", monitored: "accent" };

function StoryOf({ events, names }) {
  const lines = tell(events, names);
  return html`<section class="card" aria-labelledby="story-title"><h2 id="story-title">${t("case.story")}</h2>
    ${lines.length ? html`<ol class="story" data-part="story">${lines.map((line, index) => {
      const before = index && lines[index - 1].at ? dayTime(lines[index - 1].at).slice(0, -6) : "";
      const today = line.at ? dayTime(line.at).slice(0, -6) : "";
      return html`<li key=${index} class=${`told ${SIGN[line.kind] || ""}`}>
        ${today !== before && html`<span class="told-day">${today}</span>`}
        <time datetime=${line.at || ""} class="number">${line.at ? time(line.at, { seconds: true }) : "–"}</time>
        <span>${line.text}${line.more ? ` ${line.more}` : ""}</span></li>`;
    })}</ol>` : html`<${Empty}>${t("case.noStory")}<//>`}
  </section>`;
}

/** Each call of the case as a time line: calls may lie days apart. */
function Lines({ events, names }) {
  const calls = new Map();
  for (const event of events) {
    if (!event.leg) continue;
    const key = event.leg.linkedid;
    calls.set(key, [...(calls.get(key) || []), event.leg]);
  }
  const list = [...calls.entries()];
  return html`<section class="card" aria-labelledby="lines-title"><h2 id="lines-title">${t("case.lines")} <${Tag}>${list.length}<//></h2>
    ${list.length ? list.map(([key, legs]) => html`<${Timeline} key=${key} id=${key} legs=${legs} names=${names} />`) : html`<${Empty}>${t("case.noCalls")}<//>`}
  </section>`;
}

function Messages({ events, id, who }) {
  const has = events.some((event) => event.what === "message");
  const list = useLoad(has ? "/messages" : null, { case: id, limit: 20 });
  if (!has) return null;
  return html`<section class="card" aria-labelledby="messages-title"><h2 id="messages-title">${t("page.messages")}</h2>
    ${list.error ? html`<${Trouble} error=${list.error} again=${list.again} />` : !list.data ? html`<${Loading} />`
      : list.data.items.length ? html`<ul class="list">${list.data.items.map((one) => html`<li key=${one.id}><${Sound} message=${one} who=${who} /></li>`)}</ul>` : html`<${Empty}>${t("messages.none")}<//>`}
  </section>`;
}

/** A message that can be listened to, with seeking; damaged or missing sound is said in words. */
export function Sound({ message, who }) {
  const [failed, fail] = useState(false);
  if (message.kind === "missed") return html`<span class="quiet">${t("message.missed", { n: message.calls })}</span>`;
  if (!acts(who)) return html`<span class="quiet">${t("sound.notYours")}</span>`;
  if (failed || ["missing", "damaged"].includes(message.sound)) return html`<span class="error">${t(`sound.${message.sound === "damaged" ? "damaged" : "missing"}`)}</span>`;
  return html`<audio controls preload="none" src=${`/api/v1/messages/${encodeURIComponent(message.id)}/sound`}
    aria-label=${t("message.listen", { at: dayTime(message.at), lasts: duration(message.length_s || 0) })} onError=${() => fail(true)}></audio>`;
}

/** Recorded calls, for who may listen; there is nothing where calls are not recorded. */
function Recordings({ id }) {
  const list = useLoad("/recordings", { case: id });
  if (list.error) return html`<section class="card" aria-label=${t("case.recordings")}><${Trouble} error=${list.error} again=${list.again} /></section>`;
  if (!list.data || !list.data.items.length) return null;
  return html`<section class="card" aria-labelledby="recordings-title"><h2 id="recordings-title">${t("case.recordings")}</h2>
    <p class="small quiet">${t("messages.audit")}</p>
    <ul class="list">${list.data.items.map((one) => html`<li key=${one.id} class="row"><span class="number">${dayTime(one.started_at)}</span>
      <audio controls preload="none" src=${`/api/v1/recordings/${encodeURIComponent(one.id)}/sound`} aria-label=${t("case.recording", { at: dayTime(one.started_at) })}></audio>
      ${!!one.pauses && html`<span class="small quiet">${t("case.pauses", { n: one.pauses })}</span>`}</li>`)}</ul></section>`;
}

function Given({ events, names }) {
  const list = events.filter((event) => event.handover).map((event) => event.handover);
  return html`<section class="card" aria-labelledby="given-title"><h2 id="given-title">${t("page.handovers")} <${Tag}>${list.length}<//></h2>
    ${list.length ? html`<ul class="list">${list.map((one) => html`<li key=${one.id}>
      <div class="spread"><span><b>${partyName(one.by, names) || "–"}</b> → <b>${partyName(one.desk, names) || "–"}</b> <span class="quiet">${has(`way.${one.kind}`) ? t(`way.${one.kind}`) : one.kind || ""}</span></span>${handoverTag(one.state)}</div>
      <div class="small quiet">${dayTime(one.offered_at)}${one.reason ? ` · ${one.reason}` : ""}${one.returned_to ? ` · ${t("back.to", { where: t(`back.${one.returned_to}`) })}` : ""}</div></li>`)}</ul>`
      : html`<${Empty}>${t("handovers.none")}<//>`}
  </section>`;
}

const DETAILS = ["kind", "matter", "summary", "citizen_name", "citizen_phone", "citizen_address", "happened_at", "place", "what", "phone", "position"];

function Facts({ one, names }) {
  const details = DETAILS.filter((key) => one.details[key]).map((key) => [t(`detail.${key}`),
    key === "matter" ? names.matter(one.details.matter) : key === "kind" ? word("kind", one.details.kind) : key === "happened_at" ? dayTime(one.details.happened_at) : one.details[key]]);
  const facts = [
    [t("col.caller"), one.caller || t("story.hidden")], [t("case.opened"), dayTime(one.opened_at)], [t("case.line"), one.line],
    [t("col.owner"), partyName(one.owner, names) || t("story.nobody")], [t("col.first"), partyName(one.first_contact, names)],
    [t("col.theirs"), one.their_case && `${one.handed_over_by || ""} ${one.their_case}`], ...details,
  ].filter(([, value]) => value);
  return html`<section class="card" aria-labelledby="facts-title"><h2 id="facts-title">${t("case.facts")}</h2>
    <dl class="facts">${facts.flatMap(([name, value]) => [html`<dt key=${name}>${name}</dt>`, html`<dd key=${`${name}-`}>${value}</dd>`])}</dl></section>`;
}

function Numbers({ one }) {
  const legs = one.events.filter((event) => event.leg && event.leg.role === "agent").map((event) => event.leg);
  const talk = legs.reduce((sum, leg) => sum + (leg.talk_s || 0), 0);
  const seconds = (value) => (value === null || value === undefined ? "–" : duration(value));
  const facts = [
    [t("figures.wait"), seconds(one.time_to_answer_s)], [t("figures.talk"), seconds(talk)], [t("figures.handovers"), one.handover_count],
    [t("figures.acceptance"), seconds(one.time_to_acceptance_s)],
    [t("figures.resolved"), one.first_contact_resolution === null ? t("figures.open") : t(one.first_contact_resolution ? "yes" : "no")],
  ];
  return html`<section class="card" aria-labelledby="numbers-title"><h2 id="numbers-title">${t("case.figures")}</h2>
    <dl class="facts number">${facts.flatMap(([name, value]) => [html`<dt key=${name}>${name}</dt>`, html`<dd key=${`${name}-`}>${value}</dd>`])}</dl></section>`;
}

function Deadlines({ whole, names }) {
  if (whole.error) return html`<section class="card"><h2>${t("case.deadlines")}</h2><${Trouble} error=${whole.error} again=${whole.again} /></section>`;
  if (!whole.data || !whole.data.deadlines.length) return null;
  return html`<section class="card" aria-labelledby="due-title"><h2 id="due-title">${t("case.deadlines")}</h2>
    <ul class="list">${whole.data.deadlines.map((one) => html`<li key=${one.key}><div class="spread"><b>${t(`deadline.${one.kind}`)}</b>${one.ended_at ? html`<${Tag} kind=${one.late ? "warn" : "good"}>${t(one.late ? "due.doneLate" : "due.done")}<//>` : dueTag(one)}</div>
      <div class="small quiet">${t("due.holder", { who: partyName(one.holder, names) })}${one.escalated_at ? ` · ${t("due.escalated", { at: dayTime(one.escalated_at) })}` : one.reminded_at ? ` · ${t("due.reminded", { at: dayTime(one.reminded_at) })}` : ""}</div></li>`)}</ul>
  </section>`;
}

function Ledger({ events, check, names }) {
  const bad = new Map((check.data ? check.data.problems : []).map((one) => [one.number, one.reason]));
  return html`<section class="card" aria-labelledby="ledger-title"><h2 id="ledger-title">${t("case.ledger")}
      ${check.error ? html`<${Tag} kind="warn">${t("ledger.unchecked")}<//>` : check.data && html`<span data-part="verified"><${Tag} kind=${check.data.ok ? "good" : "bad"}>${check.data.ok ? `✓ ${t("ledger.ok", { n: check.data.entries })}` : `✗ ${t("ledger.bad")}`}<//></span>`}</h2>
    ${check.data && check.data.problems.map((one) => html`<p class="error" key=${one.number}>${t("ledger.problem", { n: one.number })}</p>`)}
    <details><summary>${t("ledger.show")}</summary><div class="scroll" tabindex="0" role="group" aria-label=${t("case.ledger")}><table><caption class="sr">${t("case.ledger")}</caption>
      <thead><tr>${["number", "at", "event", "by", "to", "owner", "detail", "hash"].map((key) => html`<th scope="col" key=${key}>${t(`col.${key}`)}</th>`)}</tr></thead>
      <tbody>${events.map(({ ledger: one }) => html`<tr key=${one.number} class=${bad.has(one.number) ? "bad" : ""}>
        <td>${one.number}${bad.has(one.number) ? " ✗" : ""}</td><td>${dayTime(one.at)}</td><td>${t(`event.${one.event}`)}</td><td>${partyName(one.by, names)}</td>
        <td>${partyName(one.to, names)}</td><td>${partyName(one.responsible, names)}</td><td>${one.detail || ""}</td><td class="mono small">${one.hash.slice(0, 10)}</td></tr>`)}</tbody></table></div></details>
  </section>`;
}
