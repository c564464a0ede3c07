// The agent's desk: one page, because loading it anew costs the call that goes on in it.
import { html, Shell, start, tell, useEffect, useEvents, useMemo, useState } from "../shared/shell.js";
import { t } from "../shared/i18n.js";
import { http, session } from "../shared/http.js";
import { Live } from "../shared/live.js";
import "./words.js";
import { CallerCard } from "./caller.js";
import { CaseForm } from "./caseform.js";
import { Drafts } from "./drafts.js";
import { deskName, Keys } from "./keys.js";
import { loadDesk } from "./model.js";
import { Ringer } from "./phone.js";
import { Setup } from "./setup.js";
import { Status } from "./status.js";
import { OnlyTab } from "./tab.js";
import { Todo } from "./todo.js";

/** To whom the case is to be handed by its matter, kept up by the live events. */
function useProposal(desk, number) {
  const [proposal, setProposal] = useState(null);
  useEffect(() => {
    setProposal(null);
    if (!number) return undefined;
    let wanted = true;
    http.get(`/cases/${encodeURIComponent(number)}/proposal`).then(
      (found) => wanted && setProposal(found),
      () => {}, // not on record yet, or not ours to see: then nothing is proposed
    );
    const news = (event) => {
      if (event.detail.case === number) setProposal(event.detail);
    };
    desk.live.addEventListener("proposal", news);
    return () => {
      wanted = false;
      desk.live.removeEventListener("proposal", news);
    };
  }, [number]);
  return proposal && proposal.desk ? proposal : null;
}

/** Ring, and say so in the tab's title, while a call comes in at this browser. */
function useRinging(desk) {
  const ringer = useMemo(() => new Ringer(), []);
  const rings = Boolean(desk.phone && desk.phone.call === "ringing");
  useEffect(() => {
    if (!rings) return undefined;
    ringer.ring();
    return () => ringer.quiet();
  }, [rings]);
  useEffect(() => {
    if (rings) document.title = t("desk.title.ringing");
  });
}

/** Whether the session has ended while a call goes on in this page, which stays for it. */
function useSignedOut(desk) {
  const [out, setOut] = useState(false);
  useEffect(() => {
    const ended = () => setOut(true);
    addEventListener("hotline:signed-out", ended);
    return () => removeEventListener("hotline:signed-out", ended);
  }, []);
  useEffect(() => {
    if (!out) return undefined;
    const back = async () => {
      if (!desk.live.up) return;
      const who = await session().catch(() => null);
      if (who) setOut(false);
    };
    desk.live.addEventListener("state", back);
    return () => desk.live.removeEventListener("state", back);
  }, [out]);
  useEffect(() => {
    if (out && !desk.holdsCall) dispatchEvent(new CustomEvent("hotline:signed-out")); // nothing keeps the page now
  }, [out, desk.holdsCall]);
  return out;
}

function DeskPage({ who, live, desk, drafts, tab }) {
  useEvents(desk, "change");
  useEvents(live, "state");
  useEvents(window, "hotline:lang");
  const [place, setPlace] = useState("case");
  const [count, setCount] = useState("");
  const [mine, setMine] = useState(tab.mine);
  useRinging(desk);
  const out = useSignedOut(desk);
  useEffect(() => {
    const lost = () => {
      if (desk.phone) desk.phone.stop();
      live.stop(); // the other tab listens now
      setMine(false);
    };
    tab.addEventListener("lost", lost);
    const refused = (event) => tell(t(event.detail), "bad");
    if (desk.phone) desk.phone.addEventListener("refused", refused);
    return () => {
      tab.removeEventListener("lost", lost);
      if (desk.phone) desk.phone.removeEventListener("refused", refused);
    };
  }, []);
  const number = desk.case;
  const proposal = useProposal(desk, number);
  useEffect(() => {
    if (desk.doing !== "none") setPlace("case");
  }, [desk.doing]);

  if (!mine) return html`<${OtherTab} who=${who} tab=${tab} title="desk.tab.moved" />`;
  if (!desk.me) return html`<${Shell} page="desk" who=${who} live=${live}><p class="card" role="alert">${t("desk.noAgent")}</p><//>`;
  const signedIn = desk.status && desk.status.signed_in;
  const line = desk.uses === "browser" && desk.phone ? desk.phone.state : "registered";
  const beforeSignOut = async () => {
    if (desk.holdsCall) {
      tell(t("desk.why.inCall"), "bad");
      return false;
    }
    await drafts.settle();
    return true;
  };
  const onLeave = async () => {
    if (signedIn) await desk.act("sign-out");
    if (desk.phone) desk.phone.stop();
  };
  return html`<${Shell} page="desk" who=${who} live=${live} beforeSignOut=${beforeSignOut} onLeave=${onLeave} tools=${html`<${Status} desk=${desk} />`}>
    <h1 class="sr">${t("nav.desk")}</h1>
    ${out && html`<p class="banner" role="alert" data-signed-out>${t("desk.out")} <a href="/signin" target="_blank">${t("desk.out.again")}</a></p>`}
    ${signedIn && (line === "lost" || line === "refused") && html`<p class="banner" role="alert" data-line=${line}>${t(desk.phone.call === "none" ? `desk.phone.${line}` : "desk.phone.lostCall")}</p>`}
    <div class="columns">
      <div class="stack">
        <${Keys} desk=${desk} proposal=${desk.call && desk.call.case === number ? proposal : null} />
        ${!signedIn && html`<${Setup} desk=${desk} />`}
        <${CallerCard} desk=${desk} />
      </div>
      <section class="card work">
        <div class="tabs" role="tablist" aria-label=${t("desk.tabs")}>
          ${["case", "todo"].map((one) => html`<button key=${one} role="tab" id=${`tab-${one}`} aria-selected=${String(place === one)} aria-controls="work"
            tabindex=${place === one ? 0 : -1} onClick=${() => setPlace(one)}
            onKeyDown=${(event) => {
              if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
              const next = one === "case" ? "todo" : "case";
              setPlace(next);
              document.getElementById(`tab-${next}`).focus();
            }}>${t(`desk.tabs.${one}`)}${one === "todo" && count !== "" ? html` <span class="tag ${count === "0" ? "" : "warn"}" data-count>${count}</span>` : null}</button>`)}
        </div>
        <div id="work" role="tabpanel" aria-labelledby=${`tab-${place}`} tabindex="0">
          ${place === "case" && html`<${CaseForm} desk=${desk} drafts=${drafts} number=${number} proposal=${proposal} deskName=${deskName} />`}
          <${Todo} desk=${desk} shown=${place === "todo"} onCount=${(found, more) => setCount(`${found}${more ? "+" : ""}`)} />
        </div>
      </section>
    </div>
  <//>`;
}

function OtherTab({ who, tab, title = "desk.tab.other" }) {
  const [words, setWords] = useState("desk.tab.why");
  useEvents(window, "hotline:lang");
  const take = async () => {
    const answer = await tab.takeOver();
    if (answer === "mine") location.reload();
    else setWords(answer === "busy" ? "desk.tab.busy" : "desk.tab.why");
  };
  return html`<${Shell} page="desk" who=${who}>
    <section class="card stack" role="alert"><h1>${t(title)}</h1><p>${t(words)}</p>
      <div class="row"><button class="primary" onClick=${take}>${t("desk.tab.take")}</button></div></section>
  <//>`;
}

let desk = null;
start(
  (props) => (props.desk ? html`<${DeskPage} ...${props} />` : html`<${OtherTab} ...${props} />`),
  async (who) => {
    const tab = new OnlyTab(() => Boolean(desk && desk.doing !== "none"));
    if (!(await tab.claim())) return { tab };
    const live = new Live();
    live.start();
    desk = await loadDesk(who, live);
    const drafts = new Drafts(who.name);
    live.addEventListener("state", () => live.up && drafts.flush());
    drafts.flush();
    return { live, desk, drafts, tab };
  },
  () => Boolean(desk && desk.holdsCall),
);
