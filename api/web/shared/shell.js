// What every page has: header, ways to the other pages by role, language, appearance, sign-out, the
// banner of a lost connection, and words that are said aloud to screen readers.
import { Fragment, html, render, useEffect, useMemo, useRef, useState } from "../vendor/preact-htm.js";
import { errorWords, http, session } from "./http.js";
import { lang, setLang, t } from "./i18n.js";
import { casesKept, forgetAll } from "./kept.js";
import { nextTheme, theme } from "./theme.js";

export { Fragment, html, render, useEffect, useMemo, useRef, useState };

const PAGES = [
  ["desk", "/desk", ["agent", "supervisor", "admin"]],
  ["console", "/console", ["supervisor", "auditor", "admin"]],
  ["admin", "/admin", ["admin", "auditor", "integrator"]],
];

/** Draw anew when one of these events comes from the target. */
export function useEvents(target, ...names) {
  const [, draw] = useState(0);
  useEffect(() => {
    const again = () => draw((count) => count + 1);
    for (const name of names) target.addEventListener(name, again);
    return () => names.forEach((name) => target.removeEventListener(name, again));
  }, [target]);
}

/** The time now in ms, anew every second while wanted. */
export function useNow(wanted = true) {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    if (!wanted) return undefined;
    set(Date.now());
    const timer = setInterval(() => set(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [wanted]);
  return now;
}

const notices = new EventTarget();
let shown = [];

/** Say something for a while: kind is "info", "good" or "bad"; what is bad stays until it is closed. */
export function tell(text, kind = "info") {
  const one = { id: crypto.randomUUID ? crypto.randomUUID() : String(Math.random()), text, kind };
  shown = [...shown.filter((other) => other.text !== text), one].slice(-4);
  notices.dispatchEvent(new Event("change"));
  if (kind !== "bad") setTimeout(() => untell(one.id), 5000);
}

/** Show an error in words. */
export function tellError(error) {
  tell(errorWords(error), "bad");
}

function untell(id) {
  shown = shown.filter((one) => one.id !== id);
  notices.dispatchEvent(new Event("change"));
}

function Notices() {
  useEvents(notices, "change");
  return html`<div class="notices" role="status" aria-live="polite">
    ${shown.map((one) => html`<div class=${`notice ${one.kind}`} key=${one.id}>
      <span>${one.text}</span>
      <button class="plain" aria-label=${t("shell.close")} onClick=${() => untell(one.id)}>×</button>
    </div>`)}
  </div>`;
}

/** The connection to the server, when it is not as it should be. */
export function Banner({ live }) {
  useEvents(live, "state");
  const bad = live.state === "lost" || live.state === "pbx-down";
  return html`<div role="alert" class=${bad ? "banner" : "banner none"}>${bad ? t(`live.${live.state}`) : ""}</div>`;
}

/** Whether what the server did not take may go with who wrote it: it is about citizens and does not stay. */
function mayForget(who) {
  const cases = casesKept(who.name);
  return !cases.length || confirm(t("shell.unsaved", { cases: cases.join(", ") }));
}

/**
 * A page in its frame. Children are the content; tools stand in the header beside the name. Signing
 * out ends where beforeSignOut() gives false; onLeave() is done once nothing holds it up any more.
 */
export function Shell({ page, who, live, tools, beforeSignOut, onLeave, children }) {
  useEvents(window, "hotline:lang", "hotline:theme");
  useEffect(() => {
    document.title = `${t(`nav.${page}`)} · ${t("app.name")}`;
  });
  async function signOut() {
    try {
      if (beforeSignOut && (await beforeSignOut()) === false) return;
      if (!mayForget(who)) return;
      if (onLeave) await onLeave();
      await http.del("/session");
    } catch (error) {
      if (error.status !== 401) {
        tellError(error);
        return;
      }
    }
    forgetAll(who.name);
    location.assign("/signin");
  }
  const mine = PAGES.filter(([, , roles]) => roles.some((role) => who.roles.includes(role)));
  return html`<${Fragment}>
    <a class="skip" href="#main">${t("shell.skip")}</a>
    <header class="top">
      <strong class="app">${t("app.name")}</strong>
      <nav aria-label=${t("shell.nav")}>
        ${mine.map(([name, href]) => html`<a href=${href} key=${name}
          aria-current=${name === page ? "page" : undefined}>${t(`nav.${name}`)}</a>`)}
      </nav>
      <div class="tools">${tools}</div>
      <a class="who" href="/signin#password" target=${page === "desk" ? "_blank" : undefined} title=${t("shell.password")}>${who.display_name || who.name}</a>
      <button class="plain" lang=${lang() === "zh" ? "en" : "zh-CN"}
        onClick=${() => setLang(lang() === "zh" ? "en" : "zh")}>${t("shell.language")}</button>
      <button class="plain icon" onClick=${nextTheme} aria-label=${t(`shell.theme.${theme()}`)}
        title=${t(`shell.theme.${theme()}`)}>${{ auto: "◐", light: "☀", dark: "☾" }[theme()]}</button>
      <button class="plain" onClick=${signOut}>${t("shell.signOut")}</button>
    </header>
    ${live && html`<${Banner} live=${live} />`}
    <main id="main" class=${`page ${page}`} tabindex="-1">${children}</main>
    <${Notices} />
  <//>`;
}

let fields = 0;

/** A labelled field. What is wrong stands at it, and is read with it. */
export function Field({ label, error, hint, children, class: more = "" }) {
  const id = useRef(null);
  id.current ??= `f${++fields}`;
  const child = Array.isArray(children) ? children[0] : children;
  child.props.id ??= id.current;
  child.props["aria-invalid"] = error ? "true" : undefined;
  child.props["aria-describedby"] = error || hint ? `${child.props.id}-say` : undefined;
  return html`<div class=${`field ${more}`}>
    <label for=${child.props.id}>${label}</label>
    ${child}
    ${(error || hint) && html`<small id=${`${child.props.id}-say`} class=${error ? "error" : "hint"}>${error || hint}</small>`}
  </div>`;
}

/** A dialog over the page; Escape closes it. */
export function Dialog({ title, onClose, children }) {
  const box = useRef(null);
  useEffect(() => {
    const dialog = box.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return html`<dialog ref=${box} aria-label=${title} onCancel=${(event) => {
    event.preventDefault();
    onClose();
  }}>
    <div class="dialog-head"><h2>${title}</h2>
      <button class="plain" aria-label=${t("shell.close")} onClick=${onClose}>×</button></div>
    ${children}
  </dialog>`;
}

/**
 * Draw a page for who is signed in: load(who) gives what Page gets besides who. Who is not signed in
 * goes to the sign-in page and comes back; while stays() is true the page says so itself instead.
 */
export async function start(Page, load = () => ({}), stays = () => false) {
  const place = document.getElementById("app");
  const leave = () => stays() || location.assign(`/signin?next=${encodeURIComponent(location.pathname + location.search + location.hash)}`);
  addEventListener("hotline:signed-out", leave);
  const wait = document.createElement("p");
  wait.className = "page quiet";
  wait.setAttribute("role", "status");
  wait.textContent = t("shell.loading");
  place.replaceChildren(wait);
  try {
    const who = await session();
    if (who === null) {
      leave();
      return;
    }
    const props = await load(who);
    place.replaceChildren();
    render(html`<${Page} who=${who} ...${props} />`, place);
  } catch (error) {
    const note = document.createElement("p");
    note.className = "banner";
    note.setAttribute("role", "alert");
    note.textContent = t("shell.failed", { why: errorWords(error) });
    place.replaceChildren(note);
  }
}
