// The supervisors' console: one page; what is shown is named by the address after #.
import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { errorWords } from "../shared/http.js";
import { t } from "../shared/i18n.js";
import { Live } from "../shared/live.js";
import { Shell, start, tell, useEvents } from "../shared/shell.js";
import { loadNames, partyName } from "./names.js";
import { Loading } from "./parts.js";
import { parse } from "./route.js";
import "./words.js";

// Loaded when they are first shown: the floor is there at once.
const PAGES = {
  floor: () => import("./floor.js").then((m) => m.Floor),
  legs: () => import("./lists.js").then((m) => m.Legs),
  cases: () => import("./lists.js").then((m) => m.Cases),
  handovers: () => import("./lists.js").then((m) => m.Handovers),
  messages: () => import("./worklists.js").then((m) => m.Messages),
  overdue: () => import("./worklists.js").then((m) => m.Overdue),
  charts: () => import("./charts.js").then((m) => m.Charts),
  topics: () => import("./topics.js").then((m) => m.Topics),
  exports: () => import("./exports.js").then((m) => m.Exports),
  case: () => import("./case.js").then((m) => m.Case),
  call: () => import("./call.js").then((m) => m.Call),
  wall: () => import("./wall.js").then((m) => m.Wall),
};
const TABS = ["floor", "cases", "legs", "handovers", "messages", "overdue", "charts", "topics", "exports"];
const UNDER = { case: "cases", call: "legs" };

function place() {
  const route = parse(location.hash || (new URLSearchParams(location.search).has("wall") ? "#wall" : ""));
  return Object.hasOwn(PAGES, route.page) ? route : parse("");
}

function Console({ who, live, names }) {
  const [route, go] = useState(place);
  const [loaded, load] = useState({ page: null, View: null, error: null });
  useEvents(window, "hotline:lang");
  useEffect(() => {
    const onHash = () => go(place());
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  }, []);
  useEffect(() => {
    let left = false;
    PAGES[route.page]().then(
      (View) => left || load({ page: route.page, View, error: null }),
      (error) => left || load({ page: route.page, View: null, error }),
    );
    return () => {
      left = true;
    };
  }, [route.page]);
  useEffect(() => {
    // Somebody was told of what is late: who looks at the console hears of it at once.
    const onDeadline = ({ detail }) => {
      if (detail.step === "remind") return;
      tell(t("deadline.news", { what: t(`deadline.${detail.kind}`), who: partyName(detail.holder, names), case: detail.case }));
    };
    live.addEventListener("deadline", onDeadline);
    return () => live.removeEventListener("deadline", onDeadline);
  }, [live, names]);
  const { View, error } = loaded;
  const ready = loaded.page === route.page;
  const content = error && ready ? html`<p role="alert" class="card">${t("shell.failed", { why: errorWords(error) })}</p>`
    : View && ready ? html`<${View} key=${route.page + route.parts.join("/")} who=${who} live=${live} names=${names} query=${route.query} parts=${route.parts} />`
      : html`<${Loading} />`;
  if (route.page === "wall") return content;
  return html`<${Shell} page="console" who=${who} live=${live}>
    <nav class="tabs" aria-label=${t("console.pages")}>${TABS.map((page) => html`<a href=${`#${page}`} key=${page}
      aria-current=${(UNDER[route.page] || route.page) === page ? "page" : undefined}>${t(`page.${page}`)}</a>`)}</nav>
    ${content}
  <//>`;
}

start(Console, async () => {
  const live = new Live();
  live.addEventListener("change", ({ detail }) => {
    if (detail.type === "snapshot") live.pbxs = detail.pbxs || [];
  });
  live.start();
  return { live, names: await loadNames() };
});
