// What happens now: the WebSocket /api/v1/events as maps that are always whole.
//
// const live = new Live({topics: ["calls", "agents", "queue"]});
// live.addEventListener("change", ...)    something in calls, queues or agents is new
// live.addEventListener("handover", (e) => e.detail)   one HandoverNews; also "deadline", "proposal"
// live.addEventListener("state", ...)     live.state: connecting, up, pbx-down, lost
// live.start(); live.stop();
//
// Nothing is missed and nothing is counted twice: each frame says which one came before.
import { session } from "./http.js";

const SILENCE_MS = 40000; // a heartbeat comes every 15 s
const RETRY_MS = [250, 500, 1000, 2000, 3000];

export class Live extends EventTarget {
  constructor({ topics = ["calls", "queue", "agents"], url } = {}) {
    super();
    this.topics = topics;
    this.calls = new Map();
    this.queues = new Map();
    this.agents = new Map();
    this.state = "connecting";
    this.since = null; // since when the state is what it is, in ms
    this._url = url || `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/events`;
    this._seq = null;
    this._epoch = null;
    this._tries = 0;
    this._wanted = false;
    this._online = () => this._retry(0);
    this._offline = () => this._lose();
  }

  get up() {
    return this.state === "up";
  }

  start() {
    if (this._wanted) return;
    this._wanted = true;
    addEventListener("online", this._online);
    addEventListener("offline", this._offline);
    this._connect();
  }

  stop() {
    this._wanted = false;
    removeEventListener("online", this._online);
    removeEventListener("offline", this._offline);
    clearTimeout(this._timer);
    clearTimeout(this._silence);
    this._drop();
  }

  _connect() {
    clearTimeout(this._timer);
    this._drop();
    const query = new URLSearchParams({ topics: this.topics.join(",") });
    if (this._epoch !== null) {
      query.set("since", this._seq);
      query.set("epoch", this._epoch);
    }
    const socket = new WebSocket(`${this._url}?${query}`, ["hotline"]);
    this._socket = socket;
    this._listen();
    socket.onmessage = (event) => {
      if (socket !== this._socket) return;
      this._listen();
      this._take(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (socket !== this._socket) return;
      // It also ends when an admin changed something about the person, who then stays signed in.
      if (event.code === 4401) this._stillSignedIn();
      this._lose();
    };
  }

  _drop() {
    const socket = this._socket;
    this._socket = null;
    if (socket) socket.close();
  }

  _listen() {
    clearTimeout(this._silence);
    this._silence = setTimeout(() => this._lose(), SILENCE_MS);
  }

  _lose() {
    clearTimeout(this._silence);
    this._drop();
    this._enter("lost");
    // A browser does not say why a WebSocket was refused: ask whether we are signed in still.
    if (this._tries === 2) this._stillSignedIn();
    if (this._wanted) this._retry(RETRY_MS[Math.min(this._tries++, RETRY_MS.length - 1)]);
  }

  async _stillSignedIn() {
    try {
      if ((await session()) === null) dispatchEvent(new CustomEvent("hotline:signed-out"));
    } catch {
      // the server cannot be reached at all, which is what the banner says
    }
  }

  _retry(wait) {
    clearTimeout(this._timer);
    if (this._wanted && !this._socket) this._timer = setTimeout(() => this._connect(), wait);
  }

  _enter(state) {
    if (state === this.state) return;
    this.state = state;
    this.since = Date.now();
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }

  _take(frame) {
    this._tries = 0;
    if (frame.type === "snapshot") {
      this._epoch = frame.epoch;
      this._seq = frame.seq;
      this._fill(this.calls, frame.calls, "id");
      this._fill(this.queues, frame.queues, "queue");
      this._fill(this.agents, frame.agents, "id");
      this._enter("up");
      this._changed(frame);
    } else if (frame.type === "resumed") {
      this._enter("up");
      this._changed(frame);
    } else if (frame.type === "state") {
      if (frame.epoch) this._epoch = frame.epoch;
      this._seq = frame.seq;
      this._enter(frame.state === "up" ? "up" : "pbx-down");
    } else if (frame.type === "changes") {
      if (this._seq !== null && frame.after > this._seq) {
        this._connect(); // something was missed: ask for it
        return;
      }
      if (this._seq !== null && frame.seq <= this._seq) return;
      this._seq = frame.seq;
      this._merge(frame);
    }
  }

  _fill(map, list, key) {
    if (!list) return;
    map.clear();
    for (const one of list) map.set(one[key], one);
  }

  _merge(frame) {
    for (const call of frame.calls || []) this.calls.set(call.id, call);
    for (const id of frame.calls_gone || []) this.calls.delete(id);
    for (const queue of frame.queues || []) this.queues.set(queue.queue, queue);
    for (const agent of frame.agents || []) this.agents.set(agent.id, agent);
    for (const id of frame.agents_gone || []) this.agents.delete(id);
    for (const kind of ["handovers", "deadlines", "proposals"]) {
      for (const detail of frame[kind] || []) {
        this.dispatchEvent(new CustomEvent(kind.slice(0, -1), { detail }));
      }
    }
    this._changed(frame);
  }

  _changed(frame) {
    this.dispatchEvent(new CustomEvent("change", { detail: frame }));
  }
}
