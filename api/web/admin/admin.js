// The admin pages: one page; what is shown is named by the address after #.
import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { errorWords } from "../shared/http.js";
import { t } from "../shared/i18n.js";
import { Shell, start, useEvents } from "../shared/shell.js";
import { Loading } from "./parts.js";
import "./words.js";

const READERS = ["admin", "auditor"];
// Each loaded when it is first shown, with the roles that may read it; only admins change things.
const PAGES = [
  ["people", READERS, () => import("./people.js").then((m) => m.People)],
  ["setup", READERS, () => import("./setup.js").then((m) => m.Setup)],
  ["matters", READERS, () => import("./matters.js").then((m) => m.Matters)],
  ["calendar", READERS, () => import("./calendar.js").then((m) => m.Calendar)],
  ["outbox", [...READERS, "integrator"], () => import("./outbox.js").then((m) => m.Outbox)],
  ["audit", READERS, () => import("./audit.js").then((m) => m.Audit)],
  ["doctor", READERS, () => import("./doctor.js").then((m) => m.Doctor)],
  ["dialplan", READERS, () => import("./dialplan.js").then((m) => m.Dialplan)],
];

function mine(who) {
  return PAGES.filter(([, roles]) => roles.some((role) => who.roles.includes(role)));
}

function place(who) {
  const asked = location.hash.replace(/^#\/?/, "").split(/[?/]/)[0];
  const pages = mine(who);
  return pages.find(([name]) => name === asked) || pages[0];
}

function Admin({ who }) {
  const [[name, , get], go] = useState(() => place(who));
  const [loaded, load] = useState({ name: null, View: null, error: null });
  useEvents(window, "hotline:lang");
  useEffect(() => {
    const onHash = () => go(place(who));
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  }, []);
  useEffect(() => {
    let left = false;
    get().then(
      (View) => left || load({ name, View, error: null }),
      (error) => left || load({ name, View: null, error }),
    );
    return () => {
      left = true;
    };
  }, [name]);
  const { View, error } = loaded;
  const ready = loaded.name === name;
  const may = who.roles.includes("admin");
  return html`<${Shell} page="admin" who=${who}>
    <nav class="tabs" aria-label=${t("admin.pages")}>${mine(who).map(([one]) => html`<a href=${`#${one}`} key=${one}
      aria-current=${one === name ? "page" : undefined}>${t(`admin.${one}`)}</a>`)}</nav>
    ${!may && html`<p class="only-look quiet small" role="note">${t("admin.only-look")}</p>`}
    ${ready && error ? html`<p role="alert" class="card">${t("shell.failed", { why: errorWords(error) })}</p>`
      : ready ? html`<${View} key=${name} who=${who} may=${may} />` : html`<${Loading} />`}
  <//>`;
}

start(Admin);
