// The calendar: a year at a glance, and what an admin decides for a day. Arrow keys go from day to
// day, PageUp and PageDown from month to month.
import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { http } from "../shared/http.js";
import { dayTime, lang, t } from "../shared/i18n.js";
import { Field, tell } from "../shared/shell.js";
import { brokenWords } from "./broken.js";
import { Ask, Choice, doNow, FileChoice, Heading, Loading, Table, Tag, Trouble, useLoad } from "./parts.js";

const DAY_MS = 86400000;
const WEEK = { zh: ["一", "二", "三", "四", "五", "六", "日"], en: ["M", "T", "W", "T", "F", "S", "S"] };
const at = (day) => Date.parse(`${day}T00:00:00Z`);
const iso = (ms) => new Date(ms).toISOString().slice(0, 10);
const today = () => new Intl.DateTimeFormat("en-CA", { timeZone: "Asia/Shanghai" }).format(new Date());
const clock = (hours) => hours.replace(/(\d\d)(\d\d)/g, "$1:$2").replace(/,/g, ", ");
const isOpen = (day) => day.hours !== "closed";

function dayName(day, weekday = "long") {
  return new Date(at(day)).toLocaleDateString(lang() === "zh" ? "zh-CN" : "en-GB", { timeZone: "UTC", day: "numeric", month: "long", weekday });
}

function hoursWords(day) {
  return isOpen(day) ? clock(day.hours) : t("calendar.closed");
}

function means(day) {
  const why = t(`calendar.why.${day.why}`);
  return [dayName(day.day), hoursWords(day), why, day.name, day.provisional && t("calendar.provisional")].filter(Boolean).join(t("and.comma"));
}

function Month({ year, month, days, chosen, now, onChoose }) {
  const mine = days.filter((one) => one.day.startsWith(`${year}-${String(month).padStart(2, "0")}`));
  const before = (new Date(at(mine[0].day)).getUTCDay() + 6) % 7;
  const name = new Date(at(mine[0].day)).toLocaleDateString(lang() === "zh" ? "zh-CN" : "en-GB", { timeZone: "UTC", month: "long" });
  return html`<div class="month"><h3 id=${`m${month}`}>${name}</h3>
    <div class="weekdays" aria-hidden="true">${WEEK[lang()].map((one, place) => html`<span key=${place}>${one}</span>`)}</div>
    <div class="days-of" role="group" aria-labelledby=${`m${month}`}>
      ${Array.from({ length: before }, (_, place) => html`<span key=${`b${place}`}></span>`)}
      ${mine.map((one) => html`<button key=${one.day} data-day=${one.day} tabindex=${one.day === chosen ? 0 : -1}
        class=${`day ${isOpen(one) ? "open" : "shut"} ${one.why}${one.day === now ? " now" : ""}`} aria-pressed=${one.day === chosen}
        aria-label=${means(one)} title=${means(one)} onClick=${() => onChoose(one.day)}>${Number(one.day.slice(8))}</button>`)}
    </div></div>`;
}

function DayForm({ day, line, lines, may, done }) {
  const [typed, type] = useState({});
  const [wrong, setWrong] = useState({});
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    type({ hours: day.why === "special" ? (day.hours === "closed" ? "closed" : "own") : isOpen(day) ? "closed" : "work", own: isOpen(day) ? clock(day.hours) : "08:30-12:00", reason: day.why === "special" ? day.name : "", every: !line });
    setWrong({});
  }, [day.day, day.hours, day.why, line]);
  const put = (field) => (event) => {
    type({ ...typed, [field]: event.target.type === "checkbox" ? event.target.checked : event.target.value });
    setWrong({});
  };
  const which = typed.every ? undefined : line;
  async function act(work, said) {
    if (busy) return;
    setBusy(true);
    try {
      await work();
      tell(said, "good");
      done();
    } catch (error) {
      if (error.code === "value-invalid") setWrong({ own: brokenWords(error.detail) });
      else setWrong({ all: error });
    }
    setBusy(false);
  }
  function save(event) {
    event.preventDefault();
    const hours = typed.hours === "own" ? typed.own.replace(/[:：\s]/g, "").replace(/[，、;；]/g, ",").replace(/[–—－~～]/g, "-") : typed.hours;
    if (typed.hours === "own" && !/^\d{4}-\d{4}(,\d{4}-\d{4})*$/.test(hours)) setWrong({ own: t("calendar.own.wrong") });
    else act(() => http.post("/calendar/days", { day: day.day, hours, reason: typed.reason.trim(), line: which || null }), t("calendar.saved", { day: dayName(day.day) }));
  }
  const choice = (value) => html`<label class="row check"><input type="radio" name="hours" value=${value} checked=${typed.hours === value} onChange=${put("hours")} />${t(`calendar.set.${value}`)}</label>`;
  return html`<form class="card stack day-form" onSubmit=${save} novalidate aria-labelledby="the-day">
    <h2 id="the-day">${dayName(day.day)}</h2>
    <dl class="facts"><dt>${t("calendar.hours")}</dt><dd class="number">${hoursWords(day)}</dd>
      <dt>${t("calendar.why")}</dt><dd>${t(`calendar.why.${day.why}`)}${day.name ? `${t("and.colon")}${day.name}` : ""} ${day.provisional && html`<${Tag} kind="warn">${t("calendar.provisional")}<//>`}</dd></dl>
    ${may && html`<fieldset><legend>${t("calendar.set")}</legend><div class="stack tight">${choice("closed")}${choice("work")}${choice("own")}
        ${typed.hours === "own" && html`<${Field} label=${t("calendar.own")} error=${wrong.own} hint=${t("calendar.own.hint")}><input name="own" value=${typed.own} onInput=${put("own")} /><//>`}</div></fieldset>
      <${Field} label=${t("calendar.reason")} error=${wrong.reason}><input name="reason" maxlength="100" value=${typed.reason} onInput=${put("reason")} placeholder=${t("calendar.reason.hint")} /><//>
      ${lines.length > 1 && html`<label class="row check"><input type="checkbox" checked=${typed.every} onChange=${put("every")} />${t("calendar.every")}</label>`}
      ${wrong.all && html`<${Trouble} error=${wrong.all} />`}
      <div class="row"><button class="primary" aria-disabled=${busy ? "true" : undefined}>${t("save")}</button>
        ${day.why === "special" && html`<button type="button" onClick=${() => act(() => http.del(`/calendar/days/${day.day}`, { line: which }), t("calendar.removed", { day: dayName(day.day) }))}>${t("calendar.remove")}</button>`}</div>`}
  </form>`;
}

function NowAndHere({ line, may }) {
  const { data, error, again } = useLoad("/calendar/now", { line });
  const [closing, close] = useState(false);
  const [typed, type] = useState({ until: "", reason: "" });
  const [wrong, setWrong] = useState("");
  async function shut() {
    const refuse = (why) => {
      setWrong(why);
      throw new Error(why);
    };
    if (!typed.until) refuse(t("field.required"));
    try {
      await http.post("/calendar/closed", { ...typed, line: line || null });
    } catch (failure) {
      if (failure.code !== "value-invalid") throw failure;
      refuse(brokenWords(failure.detail));
    }
  }
  if (error) return html`<${Trouble} error=${error} again=${again} />`;
  if (!data) return null;
  const said = data.shut ? t("calendar.now.shut", { until: dayTime(data.shut.until).slice(-5), by: data.shut.by, reason: data.shut.reason || t("calendar.now.noReason") })
    : data.open ? t("calendar.now.open", { hours: clock(data.hours) }) : t("calendar.now.closed", { hours: data.hours === "closed" ? t("calendar.closed") : clock(data.hours) });
  return html`<div class="card spread"><p class="row"><${Tag} kind=${data.open ? "good" : "warn"}>${t(data.open ? "calendar.is.open" : "calendar.is.closed")}<//> ${said}
      ${!data.known && html`<span class="quiet small">${t("calendar.now.unknown")}</span>`}</p>
    ${may && (data.shut ? html`<button onClick=${async () => {
      await doNow(() => http.del("/calendar/closed", { line }));
      again();
    }}>${t("calendar.reopen")}</button>` : html`<button disabled=${!data.open} onClick=${() => close(true)}>${t("calendar.shut")}</button>`)}
    ${closing && html`<${Ask} danger title=${t("calendar.shut")} text=${t("calendar.shut.means")} word=${t("calendar.shut")} onClose=${() => close(false)}
      go=${shut} done=${again}>
      <${Field} label=${t("calendar.until")} error=${wrong}><input type="time" name="until" value=${typed.until} onInput=${(event) => {
        type({ ...typed, until: event.target.value });
        setWrong("");
      }} /><//>
      <${Field} label=${t("calendar.reason")}><input name="reason" maxlength="100" value=${typed.reason} onInput=${(event) => type({ ...typed, reason: event.target.value })} /><//>
    <//>`}
  </div>`;
}

function Import({ line, year, done }) {
  const [state, set] = useState({ file: null, found: null, broken: null, error: null });
  const [declares, declare] = useState(false);
  async function send(file, dry, whole) {
    try {
      const kind = /^BEGIN:VCALENDAR/.test(new TextDecoder().decode(file.data.slice(0, 64)).replace(/^\uFEFF/, "").trimStart()) ? "text/calendar" : "text/csv";
      const found = await http.post("/calendar/import", file.data, { query: { dry_run: dry, line, declares: whole ? year : undefined }, headers: { "Content-Type": kind } });
      if (!dry) {
        tell(t("calendar.import.done", { n: found.added + found.changed }), "good");
        set({ file: null, found: null, broken: null, error: null });
        done();
      } else set({ file, found, broken: null, error: null });
    } catch (error) {
      set({ file, found: null, broken: error.body?.broken?.length ? error.body.broken : null, error });
    }
  }
  const { file, found, broken, error } = state;
  return html`<details class="card"><summary>${t("calendar.import")}</summary><div class="stack">
    <${FileChoice} label=${t("calendar.file")} hint=${t("calendar.file.hint")} accept=".csv,.ics,text/csv,text/calendar" onFile=${(chosen) => send(chosen, true, declares)} />
    <label class="row check"><input type="checkbox" checked=${declares} onChange=${(event) => declare(event.target.checked)} />${t("calendar.declares", { year })}</label>
    ${error && !broken && html`<${Trouble} error=${error} />`}
    ${broken && html`<div role="alert" class="stack"><p class="error">${t("calendar.refused", { n: broken.length })}</p>
      <${Table} label=${t("matters.broken")} rows=${broken} rowKey=${(one) => one.line + one.reason} columns=${[["row", (one) => one.line ?? "–", "number"], ["reason", (one) => brokenWords(one.reason)]]} /></div>`}
    ${found && html`<div class="stack" role="status"><p>${t("calendar.would", found)}</p>
      <${Table} label=${t("calendar.import")} rows=${found.days} rowKey=${(one) => one.day} columns=${[["day", (one) => one.day, "number"], ["hours", (one) => (one.hours === "closed" ? t("calendar.closed") : one.hours === "work" ? t("calendar.set.work") : clock(one.hours)), "number"], ["reason", (one) => one.reason || "–"]]} />
      <div class="row ends"><button onClick=${() => set({ file: null, found: null, broken: null, error: null })}>${t("matters.drop")}</button>
        <button class="primary" onClick=${() => send(file, false, declares)}>${t("calendar.take")}</button></div></div>`}
  </div></details>`;
}

export function Calendar({ may }) {
  const now = today();
  const [year, setYear] = useState(Number(now.slice(0, 4)));
  const [line, setLine] = useState("");
  const [chosen, choose] = useState(now);
  const { data, error, loading, again } = useLoad(`/calendar/${year}`, { line });
  const setup = useLoad("/setup");
  const grid = useRef(null);
  const keyed = useRef(chosen); // keys may come faster than the page is drawn
  keyed.current = chosen;
  useEffect(() => {
    // Whoever goes by keys takes the focus along.
    if (grid.current?.contains(document.activeElement)) grid.current.querySelector(`[data-day="${chosen}"]`)?.focus();
  }, [chosen]);
  const lines = setup.data?.lines || [];
  function go(next) {
    if (next.slice(0, 4) !== String(year)) return;
    keyed.current = next;
    choose(next);
  }
  function onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 }[event.key];
    const month = { PageUp: -1, PageDown: 1 }[event.key];
    if (!step && !month) return;
    event.preventDefault();
    if (step) go(iso(at(keyed.current) + step * DAY_MS));
    else {
      const then = new Date(at(keyed.current));
      then.setUTCDate(1);
      then.setUTCMonth(then.getUTCMonth() + month);
      go(iso(then.getTime()));
    }
  }
  function turn(to) {
    setYear(to);
    choose(to === Number(now.slice(0, 4)) ? now : `${to}-01-01`);
  }
  const day = data?.days.find((one) => one.day === chosen);
  const count = (test) => (data ? data.days.filter(test).length : 0);
  return html`<div class="stack">
    <${Heading} note=${t("calendar.note")} tools=${html`
      ${lines.length > 1 && html`<${Choice} label=${t("calendar.line")} value=${line} all=${lines[0].name} options=${lines.slice(1).map((one) => [one.number, one.name])} onChange=${setLine} />`}
      <button aria-label=${t("calendar.year.before")} disabled=${year <= 2024} onClick=${() => turn(year - 1)}>‹</button>
      <strong class="number year" aria-live="polite">${year}</strong>
      <button aria-label=${t("calendar.year.after")} onClick=${() => turn(year + 1)}>›</button>`}>${t("admin.calendar")}<//>
    <${NowAndHere} line=${line} may=${may} />
    ${error && html`<${Trouble} error=${error} again=${again} />`}
    ${!data && loading && html`<${Loading} />`}
    ${data?.provisional && html`<p class="card warn-card" role="note">${t("calendar.year.provisional", { year })}</p>`}
    ${data && data.year === year && html`<div class="year-and-day"><section class="card" aria-label=${`${year}`}>
      <div class="months" ref=${grid} onKeyDown=${onKey}>${Array.from({ length: 12 }, (_, place) => html`<${Month} key=${place} year=${year} month=${place + 1} days=${data.days} chosen=${chosen} now=${now} onChoose=${choose} />`)}</div>
      <ul class="legend row small">${["open", "shut", "holiday", "make-up", "special"].map((one) => html`<li key=${one}><span class=${`day ${one === "open" || one === "make-up" ? "open" : "shut"} ${one}`} aria-hidden="true"></span>${t(`calendar.legend.${one}`)}</li>`)}
        <li class="quiet">${t("calendar.count", { open: count(isOpen), holiday: count((one) => one.why === "holiday"), makeup: count((one) => one.why === "make-up"), special: count((one) => one.why === "special") })}</li></ul>
    </section>
    <div class="stack">${day && html`<${DayForm} day=${day} line=${line} lines=${lines} may=${may} done=${again} />`}
      ${may && html`<${Import} line=${line} year=${year} done=${again} />`}</div></div>`}
  </div>`;
}
