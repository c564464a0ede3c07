// What the desk knows: who works here, with which phone, which call is theirs, and how it goes on.
import { http } from "../shared/http.js";
import { BrowserPhone } from "./phone.js";

const PHONE_KEY = "hotline.desk.phone";
const RECORD_MS = [0, 1000, 2000, 4000]; // when the record is asked for an outcome that nobody heard
const PROGRESS_MS = 20000; // how long what came of a hand-over is shown after it

export class Desk extends EventTarget {
  constructor(who, live, { mine, desks, reasons, status }) {
    super();
    this.who = who;
    this.live = live;
    this.mine = mine; // the agent's phones; null for whoever is no agent
    this.desks = desks;
    this.reasons = reasons;
    this.status = status;
    this.progress = null; // {id, desk, kind, state, since, outcome, to}
    this.last = null; // the case of the last call, whose form stays open
    this.phone = mine && mine.browser ? new BrowserPhone(mine.browser) : null;
    this.uses = this._uses();
    live.addEventListener("change", (event) => this._changed(event.detail));
    live.addEventListener("handover", (event) => this._handover(event.detail));
    live.addEventListener("state", () => {
      if (live.up) this.refresh().catch(() => {}); // the PBX is away: its return is a change of state
      this.tell();
    });
    if (this.phone) {
      this.phone.addEventListener("change", () => this.tell());
      if (this.uses === "browser") this.phone.start();
    }
  }

  tell() {
    this.dispatchEvent(new Event("change"));
  }

  get me() {
    return this.mine && this.mine.agent;
  }

  /** Whether a call would end if this page went: it is telephoned in the page. */
  get holdsCall() {
    return Boolean(this.phone && this.phone.call !== "none");
  }

  /** Which phone this desk works with: that of the sign-in, else the last choice made here. */
  _uses() {
    if (!this.mine) return null;
    if (this.status && this.status.signed_in) return this.status.phone;
    return this.phone ? localStorage.getItem(PHONE_KEY) || "browser" : "desk";
  }

  use(kind) {
    localStorage.setItem(PHONE_KEY, kind);
    this.uses = kind;
    if (kind === "browser") this.phone.start();
    else if (this.phone) this.phone.stop();
    this.tell();
  }

  async refresh() {
    if (!this.me) return;
    const status = await http.get(`/agents/${encodeURIComponent(this.me)}`);
    this.status = status;
    if (status.signed_in && status.phone !== this.uses) this.use(status.phone);
    this.tell();
  }

  async act(what, body) {
    this.status = await http.post(`/agents/${encodeURIComponent(this.me)}/${what}`, body);
    this.tell();
  }

  /** My call: the one I talk in, else the one that rings at my phone. */
  get call() {
    if (!this.me) return null;
    const calls = [...this.live.calls.values()].filter((call) => this.leg(call));
    return calls.find((call) => this.leg(call).state === "Up") || calls[0] || null;
  }

  /** My own leg in a call. */
  leg(call) {
    const legs = call.parties.filter((one) => one.party === this.me && one.role !== "citizen" && one.role !== "supervisor");
    return legs.find((one) => one.state === "Up") || legs[0];
  }

  /** Whether a citizen is in the call: they may have left a three-way call, whose others go on. */
  hasCitizen(call) {
    return call.parties.some((one) => one.role === "citizen");
  }

  /** none, ringing or talking: by the browser's phone where that is used, else by the PBX. */
  get doing() {
    if (this.uses === "browser" && this.phone && this.phone.call !== "none") {
      return this.phone.call === "talking" ? "talking" : "ringing";
    }
    const call = this.call;
    if (!call) return "none";
    return this.leg(call).state === "Up" ? "talking" : "ringing";
  }

  /** Which case is worked on: that of the call, else of the last one. */
  get case() {
    const call = this.call;
    if (call && call.case && this.leg(call).state === "Up") this.last = call.case;
    return this.last;
  }

  _changed(frame) {
    if ((frame.agents || []).some((agent) => agent.id === this.me)) this.refresh().catch(() => this.tell());
    const call = this.call;
    const running = call && call.handover;
    if (running && running.by === this.me && (!this.progress || this.progress.id !== running.id)) {
      this._progress({ ...running, since: Date.now(), outcome: null });
    } else if (running && this.progress && this.progress.id === running.id && this.progress.state !== running.state) {
      this._progress({ ...this.progress, state: running.state });
    }
    // Who joined a three-way call and has left it again has not taken the citizen.
    const room = call && call.state === "three-way";
    if (room && this.progress && this.progress.outcome === "accepted") this.progress.joined = true;
    else if (!room && this.progress && this.progress.joined) this.progress = null;
    // What came of it was told while nobody listened.
    const gone = this.progress && this.progress.state !== "ended" && !(running && running.id === this.progress.id);
    if (frame.type === "snapshot" && gone) this._meanwhile(this.progress);
    this.case; // remembered
    this.tell();
  }

  /** What came of a hand-over that ended while the connection was lost, from the record. */
  async _meanwhile(progress) {
    this._progress({ ...progress, state: "ended", outcome: "meanwhile", to: undefined });
    for (const wait of RECORD_MS) {
      await new Promise((done) => setTimeout(done, wait)); // the record may be some seconds behind
      const found = await http.get(`/handovers/${encodeURIComponent(progress.id)}`).catch(() => null);
      if (!this.progress || this.progress.id !== progress.id || this.progress.outcome !== "meanwhile") return;
      if (!found || !found.decided_at) continue;
      this._progress({ ...this.progress, outcome: found.state, to: found.returned_to || undefined });
      return;
    }
  }

  _handover(news) {
    if (news.event === "begun") {
      if (news.by !== this.me) return;
      this._progress({ id: news.id, desk: news.desk, kind: news.kind, state: "offered", since: Date.now(), outcome: null });
      return;
    }
    if (!this.progress || news.id !== this.progress.id) return;
    if (news.event === "answered") this._progress({ ...this.progress, state: "answered" });
    if (news.event === "ended") this._progress({ ...this.progress, state: "ended", outcome: news.outcome, took: Date.now() });
    if (news.event === "returned") this._progress({ ...this.progress, to: news.to });
  }

  _progress(progress) {
    this.progress = progress;
    clearTimeout(this._forget);
    if (progress.state === "ended") {
      this._forget = setTimeout(() => {
        this.progress = null;
        this.tell();
      }, PROGRESS_MS);
    }
    this.tell();
  }
}

/** Everything the desk needs to begin. */
export async function loadDesk(who, live) {
  const mine = who.agent ? await http.get("/desk/phone").catch(absent) : null;
  const [desks, reasons, status] = await Promise.all([
    http.get("/desks"),
    http.get("/pause-reasons"),
    mine ? http.get(`/agents/${encodeURIComponent(mine.agent)}`).catch(unseen) : null,
  ]);
  return new Desk(who, live, { mine, desks: desks.items, reasons: reasons.items, status });
}

function absent(error) {
  if (error.status === 404) return null;
  throw error;
}

function unseen(error) {
  if (error.status === 503) return null; // the PBX is away; it is asked again when it is back
  throw error;
}
