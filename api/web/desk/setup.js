// Before calls come: which phone, and whether microphone, speaker and line work.
import { html, tellError, useEffect, useRef, useState } from "../shared/shell.js";
import { t } from "../shared/i18n.js";

const HEARD = 0.02; // share of full level above which somebody speaks
const TONE_HZ = 600;

export function Setup({ desk }) {
  const [mic, setMic] = useState("Unchecked");
  const [level, setLevel] = useState(0);
  const [speaker, setSpeaker] = useState("Unchecked");
  const [busy, setBusy] = useState(false);
  const stop = useRef(() => {});
  useEffect(() => () => stop.current(), []);

  async function testMicrophone() {
    stop.current();
    setMic("Ask");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      setMic(error.name === "NotFoundError" ? "Missing" : "Refused");
      return;
    }
    const context = new AudioContext();
    const meter = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(meter);
    const samples = new Float32Array(meter.fftSize);
    setMic("Quiet");
    const timer = setInterval(() => {
      meter.getFloatTimeDomainData(samples);
      const loudest = samples.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
      setLevel(Math.min(1, loudest * 3));
      if (loudest > HEARD) setMic("Good");
    }, 100);
    stop.current = () => {
      clearInterval(timer);
      for (const track of stream.getTracks()) track.stop();
      context.close();
      stop.current = () => {};
    };
  }

  async function testSpeaker() {
    const context = new AudioContext();
    const tone = context.createOscillator();
    const gain = context.createGain();
    tone.frequency.value = TONE_HZ;
    gain.gain.value = 0.2;
    tone.connect(gain).connect(context.destination);
    tone.start();
    tone.stop(context.currentTime + 1.5);
    tone.onended = () => context.close();
    setSpeaker("Playing");
  }

  async function signIn() {
    setBusy(true);
    try {
      await desk.act("sign-in", { phone: desk.uses });
      stop.current();
    } catch (error) {
      tellError(error);
    } finally {
      setBusy(false);
    }
  }

  const browser = desk.uses === "browser";
  const line = desk.phone ? desk.phone.state : "off";
  let why = null;
  if (!desk.live.up) why = t("desk.why.noConnection");
  else if (browser && !["Good", "Quiet"].includes(mic)) why = t("desk.phone.needCheck");
  else if (browser && line !== "registered") why = t("desk.phone.needLine");
  return html`<section class="card setup" aria-label=${t("desk.phone.title")}>
    <h2>${t("desk.phone.title")}</h2>
    <div class="stack">
      <div class="row" role="radiogroup" aria-label=${t("desk.phone.title")}>
        <label class="row choice"><input type="radio" name="phone" checked=${browser} disabled=${!desk.phone}
          onChange=${() => desk.use("browser")} /> ${t("desk.phone.browser")}</label>
        <label class="row choice"><input type="radio" name="phone" checked=${!browser}
          onChange=${() => desk.use("desk")} /> ${t("desk.phone.desk", { n: desk.me })}</label>
        ${!desk.phone && html`<small class="hint">${t("desk.phone.noBrowser")}</small>`}
      </div>
      ${browser && html`<ul class="list checks">
        <li class="spread"><span><strong>${t("desk.phone.mic")}</strong>
            <span class=${mic === "Good" ? "good" : "quiet"} data-check="mic" role="status"> ${t(`desk.phone.mic${mic}`)}</span></span>
          <span class="row"><meter min="0" max="1" value=${level} aria-label=${t("desk.phone.level")}></meter>
            <button class="small" onClick=${testMicrophone}>${t("desk.phone.testMic")}</button></span></li>
        <li class="spread"><span><strong>${t("desk.phone.speaker")}</strong>
            <span class=${speaker === "Good" ? "good" : "quiet"} data-check="speaker" role="status"> ${t(`desk.phone.speaker${speaker}`)}</span></span>
          <span class="row">${speaker === "Playing" && html`
              <button class="small" onClick=${() => setSpeaker("Good")}>${t("desk.phone.heard")}</button>
              <button class="small" onClick=${() => setSpeaker("Bad")}>${t("desk.phone.notHeard")}</button>`}
            <button class="small" onClick=${testSpeaker}>${t("desk.phone.testSpeaker")}</button></span></li>
        <li class="spread"><span><strong>${t("desk.phone.network")}</strong>
            <span class=${line === "registered" ? "good" : "quiet"} data-check="line" role="status"> ${t(`desk.phone.${line}`, { ms: desk.phone.registeredMs })}</span></span></li>
      </ul>`}
      <div class="row"><button class="primary" aria-disabled=${why || busy ? "true" : undefined}
        onClick=${() => (why ? tellError(new Error(why)) : !busy && signIn())}>${t("desk.signIn")}</button>
        ${why && html`<small class="hint">${why}</small>`}</div>
    </div>
  </section>`;
}
