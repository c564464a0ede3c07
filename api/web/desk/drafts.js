// What an agent writes about a case: sent as they type, and kept in this browser until the server has it.
// A reload, a crash or a lost connection loses nothing.
import { http, Problem } from "../shared/http.js";
import { casesKept, forgetOld, keep, kept, unkeep } from "../shared/kept.js";

const HOUR_MS = 3600 * 1000;
const PAUSE_MS = 700; // after the last key
const RETRY_MS = 3000;

export const FIELDS = [
  "kind", "matter", "summary", "citizen_name", "citizen_phone", "citizen_address",
  "happened_at", "place", "what", "phone", "position",
];

/** The write-ups of one agent, by case. Event "change": detail is the case. */
export class Drafts extends EventTarget {
  constructor(who) {
    super();
    this.who = who;
    this._open = new Map();
    addEventListener("online", () => this.flush());
    forgetOld();
    setInterval(() => this._tidy(), HOUR_MS);
  }

  /** What was typed and not sent yet goes out now, of earlier lives of the page too. */
  flush() {
    for (const number of casesKept(this.who)) this.of(number);
    for (const draft of this._open.values()) if (draft.dirty) draft.send();
  }

  /** Before somebody leaves: what can be sent is. */
  settle() {
    return Promise.all([...this._open.values()].map((draft) => draft.settle()));
  }

  /** What the browser no longer keeps is not in the page either. */
  _tidy() {
    forgetOld();
    const still = new Set(casesKept(this.who));
    for (const draft of this._open.values()) if (draft.dirty && !still.has(draft.number)) draft.drop();
  }

  of(number) {
    if (!this._open.has(number)) this._open.set(number, new Draft(this, number));
    return this._open.get(number);
  }
}

class Draft {
  constructor(drafts, number) {
    this._drafts = drafts;
    this.number = number;
    this.saved = null; // what the server has; null: not asked yet
    const before = kept(drafts.who, number);
    this.changed = before ? before.changed : {};
    this._typed = before ? before.at : 0;
    this.errors = {};
    this.state = this.dirty ? "kept" : "new"; // new, ready, typing, saving, saved, kept, wrong, absent
    this.load();
  }

  get dirty() {
    return Object.keys(this.changed).length > 0;
  }

  value(field) {
    return (field in this.changed ? this.changed[field] : this.saved && this.saved[field]) ?? "";
  }

  set(field, value) {
    const before = (this.saved && this.saved[field]) ?? "";
    if (value === before) delete this.changed[field];
    else this.changed[field] = value;
    delete this.errors[field];
    this._typed = Date.now();
    this._keep();
    this._enter(this.dirty ? "typing" : "saved");
    clearTimeout(this._timer);
    if (this.dirty) this._timer = setTimeout(() => this.send(), PAUSE_MS);
  }

  /** Ask for the case; one that has just begun is on record a moment later. */
  async load() {
    clearTimeout(this._loading);
    try {
      const found = await http.get(`/cases/${encodeURIComponent(this.number)}`);
      this._take(found.details);
      this.whole = found;
      this._enter(this.dirty ? "kept" : "ready");
      if (this.dirty) this.send();
    } catch (error) {
      if (error.status === 403) this._refuse("absent");
      else {
        // A case that has just begun is there in a moment; one that was deleted is asked for ever less.
        this._wait = Math.min((this._wait || 500) * 1.4, 60000);
        this._loading = setTimeout(() => this.load(), error.status === 404 ? this._wait : RETRY_MS);
      }
    }
  }

  /** Send what was typed; resolves when the server has answered, whatever it said. */
  send() {
    clearTimeout(this._timer);
    this._sending ??= this._send().finally(() => {
      this._sending = null;
      if (this.dirty && this.state === "typing") this._timer = setTimeout(() => this.send(), PAUSE_MS);
    });
    return this._sending;
  }

  /** Send until the server has all of it or will not have it. */
  async settle() {
    let tries = 3; // what is typed meanwhile, or by somebody else, needs another
    do await this.send();
    while (this.dirty && this.state === "typing" && --tries);
  }

  /** What was typed and not saved is gone. */
  drop() {
    clearTimeout(this._timer);
    this.changed = {};
    this.errors = {};
    this._keep();
    this._enter(this.saved ? "ready" : "new");
  }

  async _send() {
    if (!this.dirty) return;
    if (this.saved === null) {
      if (this.state !== "absent") this._enter("kept");
      return; // goes out when the case has been loaded
    }
    const sent = { ...this.changed };
    this._enter("saving");
    try {
      const body = Object.fromEntries(Object.entries(sent).map(([name, value]) => [name, value === "" ? null : value]));
      const path = `/cases/${encodeURIComponent(this.number)}`;
      this._take(await http.patch(path, { ...body, version: this.saved.version }));
      for (const [name, value] of Object.entries(sent)) if (this.changed[name] === value) delete this.changed[name];
      this._keep();
      this._enter(this.dirty ? "typing" : "saved");
    } catch (error) {
      await this._failed(error, sent);
    }
  }

  async _failed(error, sent) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 412) {
      // Somebody else wrote meanwhile: theirs stands where we wrote nothing, and ours goes on top.
      await this.load();
      if (this.dirty) this._enter("typing"); // goes out in a moment, with the version that was just read
      return;
    }
    if (error.status === 422 || error.code === "matter-unknown") {
      this.errors = Object.keys(error.fields).length ? error.fields : { [Object.keys(sent)[0]]: error.words };
      if (error.code.startsWith("matter")) this.errors = { matter: error.words };
      this._refuse("wrong");
      return;
    }
    if (error.status === 403 || error.status === 409) {
      this.why = error.words;
      this._refuse("refused");
      return;
    }
    this._enter("kept");
    this._timer = setTimeout(() => this.send(), RETRY_MS);
  }

  /** As fields hold it: times as people here read their clocks. */
  _take(details) {
    this.saved = { ...details, happened_at: details.happened_at ? localTime(details.happened_at) : null };
  }

  _keep(refused = false) {
    const { who } = this._drafts;
    if (this.dirty) keep(who, this.number, { changed: this.changed, at: this._typed, refused });
    else unkeep(who, this.number);
  }

  _refuse(state) {
    this._keep(true);
    this._enter(state);
  }

  _enter(state) {
    this.state = state;
    this._drafts.dispatchEvent(new CustomEvent("change", { detail: this.number }));
  }
}

/** A moment as a datetime-local field holds it, in the zone of the hotline. */
export function localTime(iso) {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat("en-CA", {
      timeZone: "Asia/Shanghai", year: "numeric", month: "2-digit", day: "2-digit",
      hour: "2-digit", minute: "2-digit", hourCycle: "h23",
    }).formatToParts(new Date(iso)).map((part) => [part.type, part.value]),
  );
  return `${parts.year}-${parts.month}-${parts.day}T${parts.hour}:${parts.minute}`;
}
