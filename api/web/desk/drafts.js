// What an agent writes about a case: sent as they type, and kept in this browser until the server has it.
// A reload, a crash or a lost connection loses nothing.
import { http, Problem } from "../shared/http.js";

const KEY = "hotline.draft.";
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
    this._prefix = `${KEY}${who}.`;
    this._open = new Map();
    addEventListener("online", () => this.flush());
  }

  /** What was typed and not sent yet goes out now, of earlier lives of the page too. */
  flush() {
    for (let at = 0; at < localStorage.length; at++) {
      const key = localStorage.key(at);
      if (key.startsWith(this._prefix)) this.of(key.slice(this._prefix.length));
    }
    for (const draft of this._open.values()) if (draft.dirty) draft.send();
  }

  of(number) {
    if (!this._open.has(number)) this._open.set(number, new Draft(this, number, this._prefix + number));
    return this._open.get(number);
  }

  get unsaved() {
    return [...this._open.values()].filter((draft) => draft.dirty).map((draft) => draft.number);
  }
}

class Draft {
  constructor(drafts, number, key) {
    this._drafts = drafts;
    this._key = key;
    this.number = number;
    this.saved = null; // what the server has; null: not asked yet
    this.changed = this._kept();
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
      if (error.status === 403) this._enter("absent");
      else {
        // A case that has just begun is there in a moment; one that was deleted is asked for ever less.
        this._wait = Math.min((this._wait || 500) * 1.4, 60000);
        this._loading = setTimeout(() => this.load(), error.status === 404 ? this._wait : RETRY_MS);
      }
    }
  }

  async send() {
    clearTimeout(this._timer);
    if (!this.dirty || this._sending) return;
    if (this.saved === null) {
      this._enter("kept");
      return; // goes out when the case has been loaded
    }
    this._sending = true;
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
    } finally {
      this._sending = false;
    }
    if (this.dirty && this.state === "typing") this._timer = setTimeout(() => this.send(), PAUSE_MS);
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
      this._enter("wrong");
      return;
    }
    if (error.status === 403 || error.status === 409) {
      this.why = error.words;
      this._enter("refused");
      return;
    }
    this._enter("kept");
    this._timer = setTimeout(() => this.send(), RETRY_MS);
  }

  /** As fields hold it: times as people here read their clocks. */
  _take(details) {
    this.saved = { ...details, happened_at: details.happened_at ? localTime(details.happened_at) : null };
  }

  _kept() {
    try {
      return JSON.parse(localStorage.getItem(this._key)) || {};
    } catch {
      return {};
    }
  }

  _keep() {
    if (this.dirty) localStorage.setItem(this._key, JSON.stringify(this.changed));
    else localStorage.removeItem(this._key);
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
