// The browser as the agent's telephone: SIP over WebSocket to the PBX (RFC 7118), WebRTC for the sound.
// It talks to the PBX and not to our server: calls go on, and can be answered and ended, without it.
import JsSIP from "../vendor/jssip.js";

// Q.850 41, temporary failure: the page goes, the agent has not said goodbye. A plain BYE would read
// as the agent's own hang-up, and the citizen would be thanked and dropped.
const PAGE_GONE = 'Reason: Q.850;cause=41;text="page closed"';
const RECOVERY_S = { min: 1, max: 4 };

/**
 * Events: "change" (look at the fields), "ended" (detail: {cause, local}), "refused" (detail: words key).
 * state: off, connecting, registered, refused, lost. call: none, ringing, answering, talking.
 */
export class BrowserPhone extends EventTarget {
  constructor(account) {
    super();
    this.account = account;
    this.state = "off";
    this.call = "none";
    this.muted = false;
    this.since = null;
    this.registeredMs = null; // how long it took to register
    this.audio = new Audio();
    this.audio.autoplay = true;
    this.stream = null;
    this._session = null;
    this._renew = false;
    this._leave = () => this.leave();
    this._ask = (event) => {
      // The browser asks first: leaving the page takes the caller out of the conversation.
      if (this.call === "talking" || this.call === "answering") event.preventDefault();
    };
  }

  start() {
    if (this._ua) return;
    const socket = new JsSIP.WebSocketInterface(this.account.url);
    this._ua = new JsSIP.UA({
      sockets: [socket],
      uri: this.account.uri,
      password: this.account.password,
      session_timers: false,
      register_expires: 120,
      connection_recovery_min_interval: RECOVERY_S.min,
      connection_recovery_max_interval: RECOVERY_S.max,
      user_agent: "hotline desk",
    });
    this._ua.on("registered", () => this._registered());
    this._ua.on("unregistered", () => this._become("connecting"));
    this._ua.on("registrationFailed", (event) => this._become(event.response ? "refused" : "lost"));
    this._ua.on("disconnected", () => {
      this._renew = true;
      this._become("lost");
    });
    this._ua.on("newRTCSession", ({ originator, session }) => {
      if (originator === "remote") this._rings(session);
    });
    addEventListener("pagehide", this._leave);
    addEventListener("beforeunload", this._ask);
    this._become("connecting");
    this._began = performance.now();
    this._ua.start();
  }

  /** No longer a telephone; a call that goes on ends as if the page were closed. */
  stop() {
    removeEventListener("pagehide", this._leave);
    removeEventListener("beforeunload", this._ask);
    this.leave();
    if (this._ua) this._ua.stop();
    this._ua = null;
    this._become("off");
  }

  /** The page goes: the caller must not sit on a dead leg, nor be taken for someone we bade farewell. */
  leave() {
    const session = this._session;
    if (!session) return;
    if (session.isEstablished()) session.terminate({ extraHeaders: [PAGE_GONE] });
    else session.terminate({ status_code: 480 });
  }

  answer() {
    if (this.call !== "ringing") return;
    this._enter("answering");
    this._session.answer({
      mediaConstraints: { audio: { echoCancellation: true, noiseSuppression: true }, video: false },
      pcConfig: { iceServers: [] },
    });
    this._listen(this._session.connection);
  }

  hangUp() {
    const session = this._session;
    if (!session) return;
    if (session.isEstablished()) session.terminate();
    else session.terminate({ status_code: 486 });
  }

  setMuted(muted) {
    if (this.call !== "talking") return;
    if (muted) this._session.mute({ audio: true });
    else this._session.unmute({ audio: true });
    this.muted = muted;
    this._tell();
  }

  /** Press a key of the keypad: 0-9 * #. */
  dial(key) {
    if (this.call !== "talking") return;
    this._session.sendDTMF(key, { transportType: "RFC2833", duration: 160, interToneGap: 80 });
  }

  _registered() {
    this.registeredMs ??= Math.round(performance.now() - this._began);
    this._become("registered");
    if (this._renew && this._session && this._session.isEstablished()) {
      // Over the new connection: else the far side's hang-up would go to the old one and never be seen.
      this._session.renegotiate({ useUpdate: false });
    }
    this._renew = false;
  }

  _rings(session) {
    if (this._session) {
      session.terminate({ status_code: 486 });
      return;
    }
    this._session = session;
    this.muted = false;
    session.on("accepted", () => {
      this.since = Date.now();
      this._enter("talking");
    });
    session.on("getusermediafailed", () => this._refused("desk.phone.noMicrophone"));
    session.on("peerconnection:setremotedescriptionfailed", () => this._refused("desk.phone.noSound"));
    const over = (event) => {
      if (this._session !== session) return;
      this._session = null;
      this.stream = null;
      this.audio.srcObject = null;
      this.since = null;
      this._enter("none");
      this.dispatchEvent(new CustomEvent("ended", { detail: { cause: event.cause, by: event.originator } }));
    };
    session.on("ended", over);
    session.on("failed", over);
    this._enter("ringing");
  }

  _listen(connection) {
    connection.addEventListener("track", (event) => {
      this.stream = event.streams[0];
      this.audio.srcObject = this.stream;
      this.audio.play().catch(() => this._refused("desk.phone.silent"));
      this._tell();
    });
  }

  _refused(words) {
    this.dispatchEvent(new CustomEvent("refused", { detail: words }));
  }

  _become(state) {
    this.state = state;
    this._tell();
  }

  _enter(call) {
    this.call = call;
    this._tell();
  }

  _tell() {
    this.dispatchEvent(new Event("change"));
  }
}

/** A ringing tone while wanted; silent where the browser does not let a page make sounds yet. */
export class Ringer {
  ring() {
    if (this._stop) return;
    const context = new AudioContext();
    const gain = context.createGain();
    const tone = context.createOscillator();
    tone.frequency.value = 450;
    gain.gain.value = 0;
    tone.connect(gain).connect(context.destination);
    tone.start();
    // One second on, four off, as telephones here ring.
    const beat = () => {
      const at = context.currentTime;
      gain.gain.setTargetAtTime(0.12, at, 0.02);
      gain.gain.setTargetAtTime(0, at + 1, 0.02);
    };
    beat();
    const timer = setInterval(beat, 5000);
    this._stop = () => {
      clearInterval(timer);
      context.close();
    };
  }

  quiet() {
    if (this._stop) this._stop();
    this._stop = null;
  }
}
