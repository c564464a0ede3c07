// The search box: what is typed filters the list at once; beginnings are completed from the record.
import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { http } from "../shared/http.js";
import { dayTime, t } from "../shared/i18n.js";
import { matching, meaning } from "./filters.js";
import { Trouble } from "./parts.js";

const WAIT_MS = 200;

/** fields: which meanings the list has a filter for. onChoose(field, value) sets one. */
export function Search({ names, fields, chosen, onChoose }) {
  const [typed, setTyped] = useState("");
  const [found, setFound] = useState([]);
  const [at, setAt] = useState(-1);
  const [open, setOpen] = useState(false);
  const [error, setError] = useState(null);
  const last = useRef("");
  useEffect(() => {
    const text = typed.trim();
    last.current = text;
    setAt(-1);
    setError(null);
    const near = matching(text, names).filter((one) => fields.includes(one.field));
    setFound(near);
    const sure = meaning(text, names);
    if (!text) return undefined;
    const ending = new AbortController();
    const timer = setTimeout(async () => {
      if (sure && fields.includes(sure.field) && sure.field !== "department") onChoose(sure.field, sure.value);
      if (text.length < 3) return;
      try {
        const items = (await http.get("/find", { q: text }, { signal: ending.signal })).items;
        if (last.current !== text) return;
        const more = items.filter((one) => fields.includes(one.what))
          .map((one) => ({ field: one.what, value: one.value, note: noteOf(one) }));
        setFound([...near, ...more]);
        const whole = more.find((one) => one.value === text.replace(/[ \-()]/g, ""));
        if (whole && !sure) onChoose(whole.field, whole.value);
      } catch (trouble) {
        if (!ending.signal.aborted) setError(trouble);
      }
    }, WAIT_MS);
    return () => {
      clearTimeout(timer);
      ending.abort();
    };
  }, [typed, names]);

  function choose(one) {
    onChoose(one.field, one.value);
    setTyped("");
    setOpen(false);
  }

  function onKeyDown(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      setAt((now) => (found.length ? (now + step + found.length + (now < 0 && step < 0 ? 1 : 0)) % found.length : -1));
    } else if (event.key === "Enter" && open && found.length) {
      event.preventDefault();
      choose(found[Math.max(0, at)]);
    } else if (event.key === "Escape") {
      if (open) setOpen(false);
      else setTyped("");
    }
  }

  const shown = open && !!found.length;
  return html`<div class="search">
    <label class="filter"><span>${t("search.label")}</span>
      <input type="search" role="combobox" autocomplete="off" spellcheck=${false} value=${typed} placeholder=${t("search.hint")}
        aria-expanded=${shown ? "true" : "false"} aria-controls="found" aria-autocomplete="list"
        aria-activedescendant=${shown && at >= 0 ? `found-${at}` : undefined}
        onInput=${(event) => { setTyped(event.target.value); setOpen(true); }}
        onKeyDown=${onKeyDown} onFocus=${() => setOpen(true)} onBlur=${() => setTimeout(() => setOpen(false), 150)} /></label>
    <ul id="found" role="listbox" aria-label=${t("search.found")} class=${shown ? "found" : "none"}>
      ${found.map((one, index) => html`<li role="option" id=${`found-${index}`} key=${one.field + one.value}
        aria-selected=${index === at ? "true" : "false"} onMouseDown=${(event) => { event.preventDefault(); choose(one); }}>
        <span class="tag">${t(`field.${one.field}`)}</span> <b class="number">${one.name && one.name !== one.value ? `${one.name} ${one.value}` : one.value}</b>
        <span class="quiet small">${one.note || ""}</span></li>`)}
    </ul>
    ${error && html`<${Trouble} error=${error} />`}
    ${!!Object.keys(chosen).length && html`<ul class="row chips" aria-label=${t("search.chosen")}>
      ${Object.entries(chosen).map(([field, value]) => html`<li key=${field}><button class="chip"
        aria-label=${t("search.remove", { what: `${t(`field.${field}`)} ${value}` })} onClick=${() => { setTyped(""); onChoose(field, ""); }}>
        ${t(`field.${field}`)} <b class="number">${value}</b> ×</button></li>`)}</ul>`}
  </div>`;
}

function noteOf(one) {
  const last = one.last_at ? dayTime(one.last_at) : "";
  return one.what === "caller" ? t("search.calls", { n: one.calls, last }) : last;
}
