// One call drawn as a time line: a row for each leg, who is with whom when, a line where they meet.
import { html } from "../vendor/preact-htm.js";
import { duration, has, t, time } from "../shared/i18n.js";
import { legName } from "./names.js";

const WIDTH = 960;
const LABEL = 190;
const RIGHT = 18;
const TOP = 26;
const ROW = 46;
const BAR = 22;
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400];
const ORDER = ["citizen", "agent", "target", "supervisor", "mailbox"];

const ms = (iso) => (iso ? Date.parse(iso) : null);

/** Who was together and when: [{ids, from, to}] in the order of time, each meeting once. */
export function meetings(legs) {
  const known = new Set(legs.map((leg) => leg.uniqueid));
  const found = new Map();
  for (const leg of legs) {
    for (const part of leg.segments) {
      const ids = [leg.uniqueid, ...part.with].filter((id) => known.has(id)).sort();
      if (ids.length < 2) continue;
      const key = ids.join("|");
      const one = { ids, from: ms(part.from), to: ms(part.to) };
      const list = found.get(key) || [];
      const same = list.find((other) => overlap(other, one));
      if (same) {
        same.from = Math.min(same.from, one.from);
        same.to = same.to === null || one.to === null ? null : Math.max(same.to, one.to);
      } else {
        list.push(one);
      }
      found.set(key, list);
    }
  }
  return [...found.values()].flat().sort((a, b) => a.from - b.from || a.ids.length - b.ids.length);
}

function overlap(a, b) {
  return a.from <= (b.to ?? Infinity) && b.from <= (a.to ?? Infinity);
}

/** Where everything stands. `now` (ms) is where legs that are still open end. */
export function layout(legs, now) {
  const started = (leg) => ms(leg.started_at) ?? ms(leg.answered_at) ?? ms(leg.ended_at) ?? now;
  const ended = (leg) => ms(leg.ended_at) ?? (leg.state === "open" ? now : lastSeen(leg, started(leg)));
  const rows = [...legs].sort((a, b) => started(a) - started(b) || rank(a) - rank(b));
  const from = Math.min(...rows.map(started));
  const to = Math.max(...rows.map(ended), from + 100);
  const x = (at) => LABEL + ((at - from) / (to - from)) * (WIDTH - LABEL - RIGHT);
  const place = new Map(rows.map((leg, index) => [leg.uniqueid, TOP + index * ROW + ROW / 2]));
  const bars = rows.map((leg) => ({ leg, y: place.get(leg.uniqueid), parts: parts(leg, started(leg), ended(leg), now) }));
  const links = meetings(rows).map((one) => {
    const ys = one.ids.map((id) => place.get(id));
    return { ...one, x: x(one.from), top: Math.min(...ys), bottom: Math.max(...ys), ys };
  });
  return { from, to, x, bars, links, ticks: ticks(from, to), height: TOP + rows.length * ROW + 6 };
}

function rank(leg) {
  const at = ORDER.indexOf(leg.role);
  return at < 0 ? ORDER.length : at;
}

function lastSeen(leg, start) {
  return Math.max(start, ms(leg.answered_at) ?? start, ...leg.segments.map((part) => ms(part.to) ?? start));
}

/** A leg as pieces: ringing, waiting (answered, but nobody is there), talking. */
export function parts(leg, start, end, now) {
  const answered = ms(leg.answered_at);
  const found = [];
  const ringing = answered === null ? end : Math.min(answered, end);
  if (ringing > start) found.push({ kind: "ring", from: start, to: ringing, with: [] });
  let at = answered === null ? end : ringing;
  const talks = leg.segments
    .map((part) => ({ kind: "talk", from: ms(part.from), to: ms(part.to) ?? now, with: part.with }))
    .sort((a, b) => a.from - b.from);
  for (const one of talks) {
    if (one.from > at) found.push({ kind: "wait", from: at, to: one.from, with: [] });
    found.push(one);
    at = Math.max(at, one.to);
  }
  if (end > at) found.push({ kind: "wait", from: at, to: end, with: [] });
  return found;
}

function ticks(from, to) {
  const step = (STEPS_S.find((one) => (to - from) / 1000 / one <= 9) ?? 28800) * 1000;
  const found = [];
  for (let at = 0; from + at <= to; at += step) found.push({ at: from + at, after: at / 1000 });
  return found;
}

const short = (seconds) => (seconds > 0 && seconds < 10 ? `${seconds.toFixed(1)} ${t("s")}` : duration(seconds));

/** The drawing, what it says in words, and the same as a table. */
export function Timeline({ id = "", legs, names, now = Date.now() }) {
  if (!legs.length) return html`<p class="quiet">${t("line.none")}</p>`;
  const drawn = layout(legs, now);
  const byId = new Map(legs.map((leg) => [leg.uniqueid, leg]));
  const name = (id) => (byId.has(id) ? legName(byId.get(id), names) : id);
  const title = t("line.title", { n: legs.length, at: time(new Date(drawn.from).toISOString(), { seconds: true }) });
  const says = drawn.links.map((one) => meetingWords(one, name)).join(" ");
  return html`<figure class="timeline">
    <div class="scroll" tabindex="0" role="group" aria-label=${title}>
      <svg viewBox=${`0 0 ${WIDTH} ${drawn.height}`} role="img" aria-labelledby=${`line-title-${id} line-desc-${id}`}>
        <title id=${`line-title-${id}`}>${title}</title>
        <desc id=${`line-desc-${id}`}>${says || t("line.nobody")}</desc>
        ${drawn.ticks.map((tick) => html`<g key=${tick.at}>
          <line class="tl-grid" x1=${drawn.x(tick.at)} x2=${drawn.x(tick.at)} y1=${TOP - 6} y2=${drawn.height} />
          <text class="tl-tick" x=${drawn.x(tick.at)} y="14" text-anchor="middle">${tick.after ? `+${short(tick.after)}` : time(new Date(tick.at).toISOString(), { seconds: true })}</text>
        </g>`)}
        ${drawn.bars.map((bar) => html`<${Row} key=${bar.leg.uniqueid} bar=${bar} x=${drawn.x} names=${names} name=${name} />`)}
        ${drawn.links.map((one) => html`<g class="tl-link" key=${`${one.ids}${one.from}`}>
          <line x1=${one.x} x2=${one.x} y1=${one.top} y2=${one.bottom} />
          ${one.ys.map((y) => html`<circle cx=${one.x} cy=${y} r="4" />`)}
        </g>`)}
      </svg>
    </div>
    <figcaption class="row small quiet">
      ${["ring", "wait", "talk"].map((kind) => html`<span class="row" key=${kind}>
        <svg class="tl-key" viewBox="0 0 22 12" aria-hidden="true"><rect class=${`tl-${kind}`} x="1" y="1" width="20" height="10" rx="3" /></svg>${t(`line.${kind}`)}</span>`)}
      <span class="row"><svg class="tl-key" viewBox="0 0 22 12" aria-hidden="true"><g class="tl-link"><line x1="11" x2="11" y1="0" y2="12" /><circle cx="11" cy="6" r="4" /></g></svg>${t("line.meet")}</span>
    </figcaption>
    <${Tables} legs=${drawn.bars.map((bar) => bar.leg)} links=${drawn.links} names=${names} name=${name} />
  </figure>`;
}

function Row({ bar, x, names, name }) {
  const { leg, y, parts: pieces } = bar;
  return html`<g class=${`tl-row ${leg.role || "other"}`}>
    <text class="tl-name" x="0" y=${y - 2}>${cut(legName(leg, names), 12)}</text>
    <text class="tl-sub" x="0" y=${y + 14}>${t(`role.${leg.role || "other"}`)}${leg.state === "open" ? ` · ${t("leg.open")}` : leg.state === "cut_off" ? ` · ${t("leg.cut_off")}` : ""}</text>
    ${pieces.map((part) => {
      const width = Math.max(1.5, x(part.to) - x(part.from));
      const words = part.with.map(name).join(t("story.and"));
      const label = part.kind === "talk" && width > 60 ? cut(words, Math.floor(width / 13)) : "";
      return html`<g key=${`${part.kind}${part.from}`}>
        <rect class=${`tl-${part.kind}`} x=${x(part.from)} y=${y - BAR / 2} width=${width} height=${BAR} rx="3">
          <title>${pieceWords(part, words)}</title></rect>
        ${label && html`<text class="tl-in" x=${x(part.from) + 8} y=${y + 4.5}>${label}</text>`}
      </g>`;
    })}
  </g>`;
}

function pieceWords(part, words) {
  const lasts = short((part.to - part.from) / 1000);
  return part.kind === "talk" ? t("line.with", { who: words, lasts }) : `${t(`line.${part.kind}`)} ${lasts}`;
}

function meetingWords(one, name) {
  const from = time(new Date(one.from).toISOString(), { seconds: true });
  const lasts = one.to === null ? t("leg.open") : short((one.to - one.from) / 1000);
  return t("line.met", { who: one.ids.map(name).join(t("story.and")), from, lasts });
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text;
}

/** How a leg ended, in words; of a cause nobody has words for, Asterisk's. */
export function endWords(leg) {
  if (leg.state !== "complete") return t(`leg.${leg.state}`);
  return has(`cause.${leg.cause}`) ? t(`cause.${leg.cause}`) : leg.cause_text || t("leg.complete");
}

function Tables({ legs, links, names, name }) {
  const clock = (iso) => time(iso, { seconds: true }) || "–";
  const lasts = (seconds) => (seconds === null ? "–" : short(seconds));
  return html`<details><summary>${t("line.table")}</summary>
    <div class="scroll" tabindex="0" role="group" aria-label=${t("line.legs")}><table><caption class="sr">${t("line.legs")}</caption>
      <thead><tr>${["who", "role", "started", "answered", "ended", "ring", "talk", "hold", "end"].map((key) => html`<th scope="col" key=${key}>${t(`col.${key}`)}</th>`)}</tr></thead>
      <tbody>${legs.map((leg) => html`<tr key=${leg.uniqueid}>
        <th scope="row">${legName(leg, names)}</th><td>${t(`role.${leg.role || "other"}`)}</td>
        <td>${clock(leg.started_at)}</td><td>${clock(leg.answered_at)}</td><td>${clock(leg.ended_at)}</td>
        <td>${lasts(leg.ring_s)}</td><td>${lasts(leg.talk_s)}</td><td>${lasts(leg.hold_s)}</td><td>${endWords(leg)}</td>
      </tr>`)}</tbody></table></div>
    <div class="scroll" tabindex="0" role="group" aria-label=${t("line.meetings")}><table><caption class="sr">${t("line.meetings")}</caption>
      <thead><tr><th scope="col">${t("line.meetings")}</th><th scope="col">${t("col.from")}</th><th scope="col">${t("col.to")}</th></tr></thead>
      <tbody>${links.map((one) => html`<tr key=${`${one.ids}${one.from}`}><th scope="row">${one.ids.map(name).join(t("story.and"))}</th>
        <td>${clock(new Date(one.from).toISOString())}</td><td>${one.to === null ? t("leg.open") : clock(new Date(one.to).toISOString())}</td></tr>`)}
      ${!links.length && html`<tr><td colspan="3">${t("line.nobody")}</td></tr>`}</tbody></table></div>
  </details>`;
}
