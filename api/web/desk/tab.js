// One desk in one browser: two would both be the same telephone.
// Claims the desk for this tab. Another tab may take it over unless this one is in a call.
const LOCK = "hotline.desk";
const LET_GO_MS = 2000;

export class OnlyTab extends EventTarget {
  constructor(isBusy) {
    super();
    this.mine = false;
    this._isBusy = isBusy;
    this._channel = new BroadcastChannel(LOCK);
    this._channel.onmessage = (event) => this._heard(event.data);
  }

  /** Whether the desk is this tab's now; waitMs: the other tab is just letting go of it. */
  async claim(waitMs = 0) {
    if (!navigator.locks) {
      this.mine = true; // no locks on a page without https: the PBX keeps only the last one registered
      return true;
    }
    return new Promise((done) => {
      const how = waitMs ? { signal: AbortSignal.timeout(waitMs) } : { ifAvailable: true };
      const asked = navigator.locks.request(LOCK, how, (lock) => {
        if (lock === null) {
          done(false);
          return undefined;
        }
        this.mine = true;
        done(true);
        return new Promise((release) => {
          this._release = release;
        });
      });
      asked.catch(() => done(false)); // waited in vain
    });
  }

  /** Ask the other tab to let go; resolves to "mine", "busy" or "gone" (nobody answers: try again). */
  async takeOver() {
    const answer = await new Promise((done) => {
      this._answered = done;
      this._channel.postMessage("take-over");
      setTimeout(() => done("gone"), 1500);
    });
    if (answer === "busy") return "busy";
    return (await this.claim(answer === "free" ? LET_GO_MS : 0)) ? "mine" : "gone";
  }

  _heard(what) {
    if (what === "take-over" && this.mine) {
      if (this._isBusy()) {
        this._channel.postMessage("busy");
        return;
      }
      this.mine = false;
      this.dispatchEvent(new Event("lost"));
      if (this._release) this._release();
      this._channel.postMessage("free");
    } else if (this._answered && what !== "take-over") {
      this._answered(what);
      this._answered = null;
    }
  }
}
