// What pages keep of citizens in this browser until the server has it: one entry for each case, under
// the name of who wrote it. It goes when that person signs out, and after a while in any case.
const KEY = "hotline.draft.";
const DAY_MS = 24 * 3600 * 1000;
const UNSENT_MS = 7 * DAY_MS; // a server that was away over the holidays still gets it

const keyOf = (who, number) => `${KEY}${who}/${number}`; // no name of a person holds a slash

function parsed(key) {
  try {
    const entry = JSON.parse(localStorage.getItem(key));
    return entry && typeof entry.at === "number" && entry.changed ? entry : null;
  } catch {
    return null;
  }
}

const keys = () => Object.keys(localStorage).filter((key) => key.startsWith(KEY));

/** What is kept of a case: {changed, at, refused}; at: when somebody last typed, in ms. Or null. */
export function kept(who, number) {
  return parsed(keyOf(who, number));
}

/** refused: the server would not have it, so nothing but the person themselves can save it. */
export function keep(who, number, { changed, at, refused = false }) {
  localStorage.setItem(keyOf(who, number), JSON.stringify({ changed, at, refused }));
}

export function unkeep(who, number) {
  localStorage.removeItem(keyOf(who, number));
}

/** The cases of which something is kept for this person. */
export function casesKept(who) {
  const begin = keyOf(who, "");
  return keys().filter((key) => key.startsWith(begin)).map((key) => key.slice(begin.length));
}

/** Nothing of this person's is left in the browser. */
export function forgetAll(who) {
  for (const number of casesKept(who)) unkeep(who, number);
}

/** What is too old goes, whoever wrote it: refused after a day, unsent after a week. */
export function forgetOld(now = Date.now()) {
  for (const key of keys()) {
    const entry = parsed(key);
    if (entry === null || now - entry.at > (entry.refused ? DAY_MS : UNSENT_MS)) localStorage.removeItem(key);
  }
}
