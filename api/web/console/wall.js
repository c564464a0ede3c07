// The screen in the room: big numbers, no names of citizens, no numbers of theirs.
import { Fragment, html, useEffect } from "../vendor/preact-htm.js";
import { duration, t, time } from "../shared/i18n.js";
import { Banner, useEvents } from "../shared/shell.js";
import { against, useFigures } from "./figures.js";
import { counts, useServerNow, waiting } from "./floor.js";
import { percent } from "./parts.js";

export function Wall({ live }) {
  useEvents(live, "change", "state");
  useEvents(window, "hotline:lang", "hotline:theme");
  const now = useServerNow(live);
  const figures = useFigures(live);
  useEffect(() => {
    document.title = `${t("page.wall")} · ${t("app.name")}`;
  });
  const floor = counts(live);
  const callers = waiting(live);
  const longest = callers.length ? Math.max(...callers.map((one) => now - Date.parse(one.since))) / 1000 : 0;
  const { now: rolling, today } = figures;
  const goal = rolling ? rolling.answer_within_s : 15;
  const target = rolling ? rolling.connect_target : 0.95;
  const share = today ? today.answered_in_time_share : null;
  const rate = rolling ? rolling.last_24_hours.connect_rate : null;
  const judged = (kind) => (kind === "good" ? `✓ ${t("goal.met")}` : kind === "bad" ? `✗ ${t("goal.missed")}` : "");
  return html`<${Fragment}>
    <${Banner} live=${live} />
    <main class="wall" id="main">
      <header class="wall-head"><h1>${t("app.name")}</h1><span class="number">${time(new Date(now).toISOString())}</span>
        <a href="#floor">${t("wall.leave")}</a></header>
      <div class="wall-grid">
        <${Big} name="waiting" value=${callers.length} note=${callers.length ? t("floor.longest", { lasts: duration(longest) }) : t("floor.nobodyWaits")} kind=${callers.length ? longest > goal ? "bad" : "warn" : "good"} />
        <${Big} name="talking" value=${floor.talking} note=${t("floor.calls", { n: live.calls.size })} />
        <${Big} name="ready" value=${floor.ready} note=${t("floor.agentsNote", floor)} kind=${callers.length && !floor.ready ? "bad" : ""} />
        <${Big} name="inTime" values=${{ s: goal }} value=${percent(share)} note=${`${judged(against(share, target))} ${t("floor.goal", { goal: percent(target), s: goal })}`} kind=${against(share, target)} />
        <${Big} name="rate" value=${percent(rate)} note=${`${judged(against(rate, target))} ${t("floor.goalRate", { goal: percent(target) })}`} kind=${against(rate, target)} />
        <${Big} name="today" value=${today ? today.calls : "–"} note=${today ? t("floor.todayNote", { answered: today.answered, abandoned: today.abandoned }) : ""} />
      </div>
      ${figures.error && html`<p class="wall-note" role="status">${t("wall.stale")}</p>`}
    </main>
  <//>`;
}

function Big({ name, value, note, kind = "", values = {} }) {
  return html`<section class=${`big ${kind}`} data-figure=${name}>
    <h2>${t(`figure.${name}`, values)}</h2><b class="number">${value}</b><p>${note}</p></section>`;
}
