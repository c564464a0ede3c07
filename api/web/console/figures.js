// Today's figures against the goals, for the floor and for the screen in the room.
import { useEffect, useState } from "../vendor/preact-htm.js";
import { http } from "../shared/http.js";
import { day } from "./filters.js";

const EVERY_MS = 20000;
const AFTER_CALL_MS = 2000;

/** {now, today, late, error}: fetched at once, every 20 s, and shortly after a call has ended. */
export function useFigures(live) {
  const [figures, set] = useState({ now: null, today: null, late: null, error: null });
  useEffect(() => {
    let timer = null;
    let stopped = false;
    async function fetchAll() {
      clearTimeout(timer);
      const today = day(Date.now());
      try {
        const [now, page, overdue] = await Promise.all([
          http.get("/figures/now"),
          http.get("/figures", { from: today, to: today, by: "day", group: "all" }),
          http.get("/overdue", { limit: 100 }),
        ]);
        if (stopped) return;
        set({ now, today: page.items[0] || null, late: overdue.items.length, lateMore: !!overdue.next, error: null });
      } catch (error) {
        if (!stopped) set((old) => ({ ...old, error }));
      }
      if (!stopped) timer = setTimeout(fetchAll, EVERY_MS);
    }
    function onChange(event) {
      if (event.detail && event.detail.calls_gone && event.detail.calls_gone.length) {
        clearTimeout(timer);
        timer = setTimeout(fetchAll, AFTER_CALL_MS);
      }
    }
    fetchAll();
    live.addEventListener("change", onChange);
    return () => {
      stopped = true;
      clearTimeout(timer);
      live.removeEventListener("change", onChange);
    };
  }, [live]);
  return figures;
}

/** good, bad or "" for a share against its goal; nothing is known of nothing. */
export function against(share, goal) {
  if (share === null || share === undefined || goal === null || goal === undefined) return "";
  return share >= goal ? "good" : "bad";
}
