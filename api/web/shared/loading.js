// What pages that show what the server has are made of: what is loaded, lists by parts, small parts.
import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { http } from "./http.js";
import { t } from "./i18n.js";

/** What GET path answers: {data, error, loading, again}; asked anew when path or query change, or every ms. */
export function useLoad(path, query = {}, every = 0) {
  const [state, set] = useState({ data: null, error: null, loading: true });
  const [round, next] = useState(0);
  const key = JSON.stringify([path, query, round]);
  useEffect(() => {
    if (!path) return undefined;
    const ending = new AbortController();
    set((old) => ({ ...old, loading: true }));
    http.get(path, query, { signal: ending.signal }).then(
      (data) => set({ data, error: null, loading: false }),
      (error) => ending.signal.aborted || set((old) => ({ ...old, error, loading: false })),
    );
    const timer = every ? setTimeout(() => next((n) => n + 1), every) : null;
    return () => {
      ending.abort();
      clearTimeout(timer);
    };
  }, [key]);
  return { ...state, again: () => next((n) => n + 1) };
}

/** A list that comes in parts: {items, next, error, loading, more, again}. */
export function usePages(path, query) {
  const [state, set] = useState({ items: [], next: null, error: null, loading: true });
  const [round, next] = useState(0);
  const ending = useRef(null);
  async function part(cursor, before) {
    ending.current?.abort();
    const mine = (ending.current = new AbortController());
    set((old) => ({ ...old, loading: true, error: null }));
    try {
      const found = await http.get(path, { limit: 50, ...query, cursor }, { signal: mine.signal });
      set({ items: [...before, ...found.items], next: found.next, error: null, loading: false });
    } catch (error) {
      if (!mine.signal.aborted) set((old) => ({ ...old, error, loading: false }));
    }
  }
  useEffect(() => {
    part(undefined, []);
    return () => ending.current.abort();
  }, [JSON.stringify([path, query, round])]);
  return { ...state, more: () => part(state.next, state.items), again: () => next((n) => n + 1) };
}

/** A word for a state; its colour only repeats it. */
export function Tag({ kind = "", children }) {
  return html`<span class=${`tag ${kind}`}>${children}</span>`;
}

/** A select; the first choice is none. */
export function Choice({ label, value, options, onChange, all = t("all") }) {
  return html`<label class="filter"><span>${label}</span>
    <select value=${value || ""} onChange=${(event) => onChange(event.target.value)}>
      ${all !== null && html`<option value="">${all}</option>`}
      ${options.map(([key, text]) => html`<option value=${key} key=${key}>${text}</option>`)}
    </select></label>`;
}
