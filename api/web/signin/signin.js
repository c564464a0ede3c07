// Signing in. What is wrong stands at its field, and what was typed stays, but for a wrong password.
import { html, render, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { errorWords, http, session, setCsrf } from "../shared/http.js";
import { lang, setLang, t, words } from "../shared/i18n.js";
import { nextTheme, theme } from "../shared/theme.js";

words({
  zh: {
    "signin.title": "登录", "signin.name": "用户名", "signin.password": "密码",
    "signin.go": "登录", "signin.going": "正在登录…", "signin.show": "显示", "signin.hide": "隐藏",
    "signin.wrong": "用户名或密码不对。请检查大小写和输入法。",
    "signin.wait": "密码错误次数过多，请在 {wait} 后再试。",
    "signin.caps": "大写锁定已打开",
    "signin.as": "您已登录为 {name}。", "signin.on": "继续到我的页面",
    "signin.other": "换人登录",
    "signin.forgotten": "忘记密码请联系管理员重设。",
    "signin.change": "更改密码", "signin.present": "现在的密码", "signin.new": "新密码", "signin.again": "再输一遍新密码",
    "signin.differ": "两次输入不一样", "signin.present.wrong": "现在的密码不对", "signin.changed": "密码已更改；您在别处的登录已失效。",
    "signin.back": "返回", "signin.weak.short": "太短：至少 {n} 个字符", "signin.weak.long": "太长", "signin.weak.uniform": "太简单：不同的字符太少", "signin.weak.name": "不能含有用户名",
  },
  en: {
    "signin.title": "Sign in", "signin.name": "Name", "signin.password": "Password",
    "signin.go": "Sign in", "signin.going": "Signing in…", "signin.show": "Show", "signin.hide": "Hide",
    "signin.wrong": "Name or password is wrong. Look at upper and lower case and at the input method.",
    "signin.wait": "Too many wrong passwords; try again in {wait}.",
    "signin.caps": "Caps lock is on",
    "signin.as": "You are signed in as {name}.", "signin.on": "Go on to my page",
    "signin.other": "Sign in as somebody else",
    "signin.forgotten": "If you forgot your password, ask an admin for a new one.",
    "signin.change": "Change my password", "signin.present": "Present password", "signin.new": "New password", "signin.again": "New password once more",
    "signin.differ": "The two are not the same", "signin.present.wrong": "The present password is wrong", "signin.changed": "Your password is changed; you are signed out elsewhere.",
    "signin.back": "Back", "signin.weak.short": "Too short: at least {n} characters", "signin.weak.long": "Too long", "signin.weak.uniform": "Too simple: too few different characters", "signin.weak.name": "It must not contain your name",
  },
});

/** Where to go after signing in: the page that was asked for, if it is one of ours. */
function onward(who) {
  const asked = new URLSearchParams(location.search).get("next") || "";
  return /^\/(desk|console|admin|docs)([#?].*)?$/.test(asked) ? asked : who.page;
}

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** A new password for whoever is signed in. */
function Change({ who, onBack }) {
  const [typed, type] = useState({ password: "", new_password: "", again: "" });
  const [wrong, setWrong] = useState({});
  const [state, setState] = useState("");
  const first = useRef(null);
  useEffect(() => first.current.focus(), []);
  async function submit(event) {
    event.preventDefault();
    const missing = Object.fromEntries(Object.entries(typed).filter(([, value]) => !value).map(([field]) => [field, t("field.required")]));
    if (!missing.again && typed.again !== typed.new_password) missing.again = t("signin.differ");
    setWrong(missing);
    if (Object.keys(missing).length || state === "busy") return;
    setState("busy");
    try {
      await http.post("/session/password", { password: typed.password, new_password: typed.new_password });
      setState("done");
    } catch (error) {
      setState("");
      if (error.code === "wrong-password") setWrong({ password: t("signin.present.wrong") });
      else if (error.code === "password-weak") setWrong({ new_password: t(`signin.weak.${error.body.rule}`, { n: /\d+/.exec(error.detail)?.[0] }) });
      else if (error.code === "locked-out") setWrong({ password: t("signin.wait", { wait: clock(Number(error.body.wait_s)) }) });
      else setWrong({ all: errorWords(error) });
    }
  }
  if (state === "done") {
    return html`<div class="card"><h1>${t("signin.change")}</h1><p role="status">${t("signin.changed")}</p>
      <a class="button primary" href=${who.page}>${t("signin.on")}</a></div>`;
  }
  const field = (name, word, complete) => html`<div class="field"><label for=${name}>${t(word)}</label>
    <input id=${name} type="password" ref=${name === "password" ? first : undefined} autocomplete=${complete} value=${typed[name]}
      onInput=${(event) => {
        type({ ...typed, [name]: event.target.value });
        setWrong({ ...wrong, [name]: undefined, all: undefined });
      }} aria-invalid=${wrong[name] ? "true" : undefined} aria-describedby=${wrong[name] ? `${name}-say` : undefined} />
    ${wrong[name] && html`<small id=${`${name}-say`} class="error" role="alert">${wrong[name]}</small>`}</div>`;
  return html`<form class="card" onSubmit=${submit} novalidate><h1>${t("signin.change")}</h1>
    <input class="none" name="username" autocomplete="username" value=${who.name} readonly aria-hidden="true" tabindex="-1" />
    ${field("password", "signin.present", "current-password")}${field("new_password", "signin.new", "new-password")}${field("again", "signin.again", "new-password")}
    <div class="say" role="alert">${wrong.all && html`<p class="error">${wrong.all}</p>`}</div>
    <button class="primary" aria-disabled=${state === "busy"}>${t("signin.change")}</button>
    <button type="button" onClick=${onBack}>${t("signin.back")}</button></form>`;
}

function SignIn({ already }) {
  const [, draw] = useState(0);
  const [who, setWho] = useState(already);
  const [typed, type] = useState({ name: "", password: "" });
  const [wrong, setWrong] = useState({});
  const [changing, change] = useState(location.hash === "#password");
  const [shown, show] = useState(false);
  const [caps, setCaps] = useState(false);
  const [busy, setBusy] = useState(false);
  const [until, setUntil] = useState(0);
  const password = useRef(null);
  const name = useRef(null);
  const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));

  useEffect(() => {
    const again = () => draw((count) => count + 1);
    addEventListener("hotline:lang", again);
    addEventListener("hotline:theme", again);
    return () => {
      removeEventListener("hotline:lang", again);
      removeEventListener("hotline:theme", again);
    };
  }, []);
  useEffect(() => {
    document.title = `${t("signin.title")} · ${t("app.name")}`;
  });
  useEffect(() => {
    if (!left) return undefined;
    const timer = setTimeout(() => draw((count) => count + 1), 500);
    return () => clearTimeout(timer);
  });
  useEffect(() => name.current?.focus(), [who]);

  async function submit(event) {
    event.preventDefault();
    const missing = {};
    if (!typed.name.trim()) missing.name = t("field.required");
    if (!typed.password) missing.password = t("field.required");
    setWrong(missing);
    if (missing.name) name.current.focus();
    else if (missing.password) password.current.focus();
    if (Object.keys(missing).length || busy || left) return;
    setBusy(true);
    try {
      location.assign(onward(await http.post("/session", typed)));
    } catch (error) {
      setBusy(false);
      if (error.code === "locked-out") {
        setUntil(Date.now() + Number(error.body.wait_s) * 1000);
        setWrong({});
      } else if (error.code === "sign-in-refused") {
        setWrong({ password: t("signin.wrong") });
        type({ ...typed, password: "" });
        password.current.focus();
      } else if (error.code === "request-invalid") setWrong(error.fields);
      else setWrong({ all: errorWords(error) });
    }
  }

  const put = (field) => (event) => {
    type({ ...typed, [field]: event.target.value });
    setWrong({ ...wrong, [field]: undefined, all: undefined });
  };
  const foot = html`<div class="foot">
    <button class="plain" lang=${lang() === "zh" ? "en" : "zh-CN"}
      onClick=${() => setLang(lang() === "zh" ? "en" : "zh")}>${t("shell.language")}</button>
    <button class="plain" onClick=${nextTheme}>${t(`shell.theme.${theme()}`)}</button>
  </div>`;
  if (who && changing) return html`<main class="sign-in"><${Change} who=${who} onBack=${() => change(false)} />${foot}</main>`;
  if (who) {
    return html`<main class="sign-in"><div class="card">
      <h1>${t("app.name")}</h1>
      <p>${t("signin.as", { name: who.display_name })}</p>
      <a class="button primary" href=${onward(who)}>${t("signin.on")}</a>
      <button onClick=${() => change(true)}>${t("signin.change")}</button>
      <button onClick=${() => setWho(null)}>${t("signin.other")}</button>
    </div>${foot}</main>`;
  }
  const said = left ? t("signin.wait", { wait: clock(left) }) : wrong.all;
  return html`<main class="sign-in">
    <form class="card" onSubmit=${submit} novalidate>
      <h1>${t("app.name")}</h1>
      <div class="field">
        <label for="name">${t("signin.name")}</label>
        <input id="name" ref=${name} name="name" autocomplete="username" autocapitalize="none"
          spellcheck=${false} value=${typed.name} onInput=${put("name")}
          aria-invalid=${wrong.name ? "true" : undefined} aria-describedby=${wrong.name ? "name-say" : undefined} />
        ${wrong.name && html`<small id="name-say" class="error">${wrong.name}</small>`}
      </div>
      <div class="field">
        <label for="password">${t("signin.password")}</label>
        <div class="with-eye">
          <input id="password" ref=${password} name="password" autocomplete="current-password"
            type=${shown ? "text" : "password"} value=${typed.password} onInput=${put("password")}
            onKeyUp=${(event) => setCaps(event.getModifierState("CapsLock"))}
            aria-invalid=${wrong.password ? "true" : undefined}
            aria-describedby=${wrong.password || caps ? "password-say" : undefined} />
          <button type="button" class="plain small" aria-pressed=${shown} aria-controls="password"
            onClick=${() => show(!shown)}>${t(shown ? "signin.hide" : "signin.show")}</button>
        </div>
        ${(wrong.password || caps) && html`<small id="password-say" role="alert"
          class=${wrong.password ? "error" : "hint"}>${wrong.password || t("signin.caps")}</small>`}
      </div>
      <div class="say" role="alert">${said && html`<p class="error">${said}</p>`}</div>
      <button class="primary" aria-disabled=${busy || left > 0}>${t(busy ? "signin.going" : "signin.go")}</button>
      <small class="hint">${t("signin.forgotten")}</small>
    </form>${foot}
  </main>`;
}

let already = null;
try {
  already = await session();
} catch {
  setCsrf(""); // the server cannot say: the form will say so when it is sent
}
render(html`<${SignIn} already=${already} />`, document.getElementById("app"));
