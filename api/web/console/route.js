// Which page of the console is shown: #cases?state=open, #case/20261124-1795510401.1. Pure but for go().

/** A hash as {page, parts, query}; what cannot be read is left as it is. */
export function parse(hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const parts = path.split("/").map(plain);
  return { page: parts[0] || "floor", parts: parts.slice(1), query: Object.fromEntries(new URLSearchParams(search)) };
}

function plain(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The hash of a page; what is empty in the query is left out. */
export function link(page, parts = [], query = {}) {
  const path = [page, ...parts.map(encodeURIComponent)].join("/");
  const kept = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return `#${path}${kept.length ? `?${new URLSearchParams(kept)}` : ""}`;
}

/** Show the same page with another query, without a step in the history for every letter typed. */
export function refine(page, parts, query) {
  history.replaceState(null, "", link(page, parts, query));
  dispatchEvent(new HashChangeEvent("hashchange"));
}
