// Requests to the service, with the session's cookie and its CSRF token; errors in people's words.
import { has, t } from "./i18n.js";

const API = "/api/v1";
const LIMIT_MS = 15000;
let csrf = "";
let person = null; // whose page this is

/** An answer that says what is wrong (RFC 9457). */
export class Problem extends Error {
  constructor(body) {
    super(body.detail || body.title || body.code);
    this.code = body.code;
    this.status = body.status;
    this.title = body.title || "";
    this.detail = body.detail || "";
    this.errors = body.errors || [];
    this.body = body;
  }

  /** What is wrong, for people. */
  get words() {
    const key = `problem.${this.code}`;
    return has(key) ? t(key, this) : t("problem.other", this);
  }

  /** What is wrong at each field of the body or the query, by the field's name. */
  get fields() {
    return Object.fromEntries(
      this.errors.map((one) => [one.field.replace(/^(body|query|path)\./, ""), fieldWords(one.message)]),
    );
  }
}

/** The server could not be reached: nothing is known to have been done. */
export class Offline extends Problem {
  constructor() {
    super({ code: "offline", status: 0, title: "offline" });
  }
}

// By what telephony/plain_words.py says; a test has all of it said here.
const FIELD_WORDS = [
  [/^is missing|at least 1 (character|entr)/, "field.required"],
  [/at least (\d+) (?:character|entr)/, "field.short"],
  [/(?:at most|up to) (\d+) character/, "field.long"],
  [/at most (\d+) entr/, "field.many"],
  [/telephone number/, "field.phone"],
  [/latitude and longitude/, "field.position"],
  [/(\d+) to (\d+) characters/, "field.span"],
  [/one line/, "field.line"],
  [/a date such as|a time such as|time of day|times of day|its zone|a month/, "field.date"],
  [/^must be (?:a |a whole )number|too large/, "field.number"],
  [/^must be (?:more than|at least|less than|at most|a multiple)/, "field.range"],
  [/^must be '/, "field.known"],
  [/not known here|left out/, "field.extra"],
  [/^must be (?!one of)|^must name|^is no|^is not written/, "field.pattern"],
];

/** A message of the server about one field, in the user's language. */
export function fieldWords(message) {
  for (const [pattern, key] of FIELD_WORDS) {
    const found = pattern.exec(message);
    if (found) return t(key, { n: found[1], m: found[2] });
  }
  return t("field.wrong", { why: message });
}

export function setCsrf(token) {
  csrf = token || "";
}

/** The answer to a request as the browser gives it; raises Problem or Offline. */
export async function request(method, path, options = {}) {
  try {
    return await send(method, path, options);
  } catch (error) {
    // The same person has signed in anew, in another tab: their new session's token goes with it now.
    if (error.code !== "csrf" || person === null) throw error;
    if ((await session()) === null) throw signedOut(error);
    return send(method, path, options);
  }
}

function signedOut(error) {
  dispatchEvent(new CustomEvent("hotline:signed-out"));
  return error;
}

async function send(method, path, { query, body, headers = {}, signal }) {
  const url = new URL(path.startsWith("/") ? API + path : path, location.origin);
  for (const [name, value] of Object.entries(query || {})) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  const raw = body instanceof Blob || body instanceof ArrayBuffer || typeof body === "string";
  const sent = { Accept: "application/json", ...headers };
  if (method !== "GET") sent["X-CSRF-Token"] = csrf;
  if (body !== undefined && !raw) sent["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(url, {
      method, headers: sent, credentials: "same-origin", cache: "no-store",
      body: body === undefined || raw ? body : JSON.stringify(body),
      signal: signal || AbortSignal.timeout(LIMIT_MS),
    });
  } catch (error) {
    if (signal && signal.aborted) throw error;
    throw new Offline();
  }
  if (answer.ok) return answer;
  let problem = { code: `http-${answer.status}`, status: answer.status, title: answer.statusText };
  if ((answer.headers.get("Content-Type") || "").includes("json")) problem = await answer.json();
  const error = new Problem(problem);
  if (answer.status === 401 && path !== "/session") signedOut(error);
  throw error;
}

async function json(method, path, options) {
  const answer = await request(method, path, options);
  return answer.status === 204 ? null : answer.json();
}

export const http = {
  get: (path, query, options = {}) => json("GET", path, { query, ...options }),
  post: (path, body, options = {}) => json("POST", path, { body, ...options }),
  put: (path, body, options = {}) => json("PUT", path, { body, ...options }),
  patch: (path, body, options = {}) => json("PATCH", path, { body, ...options }),
  del: (path, query, options = {}) => json("DELETE", path, { query, ...options }),
};

/** Who is signed in here, or null; null also when it is somebody else than this page is for. */
export async function session() {
  try {
    const who = await http.get("/session");
    person ??= who.name;
    if (who.name !== person) return null;
    setCsrf(who.csrf);
    return who;
  } catch (error) {
    if (error.status === 401) return null;
    throw error;
  }
}

/** Words for any error that a page may show. */
export function errorWords(error) {
  return error instanceof Problem ? error.words : String(error.message || error);
}
