// A case's record read as a story: each thing that happened as one sentence. Pure.
import { duration, has, t } from "../shared/i18n.js";
import { partyName } from "./names.js";

const DETAILS = [
  // What the ledger says in words of its own, and how people say it.
  [/^place (\S*)$/, "story.place"],
  [/^(listen|whisper|barge) (started|stopped)$/, (found) => t(`story.monitor.${found[2]}`, { mode: t(`mode.${found[1]}`) })],
  [/^(started|paused|resumed|stopped)\b/, (found) => t(`story.recording.${found[1]}`)],
  [/^([\d.]+) s$/, (found) => t("story.length", { lasts: duration(Math.round(Number(found[1]))) })],
  [/^its sound is (\w+)$/, (found) => t(`story.sound.${found[1]}`)],
  [/^first contact, their case (.+)$/, (found) => t("story.theirs", { case: found[1] })],
];

const OUTCOME = /^(\w+?)(?:, cause (\d+))?(?:: (.*))?$/;
const DEADLINE = /^(\w+), held by (.+), due (.+)$/;

/** The lines of a story, in order: {at, kind, text, more, entry}. */
export function tell(events, names) {
  const handovers = new Map(events.filter((one) => one.handover).map((one) => [one.handover.id, one.handover]));
  const lines = [];
  for (const event of events) {
    if (event.ledger) lines.push(...ledgerLines(event.ledger, handovers, names));
    else if (event.what === "leg" && event.leg.role === "citizen") lines.push(...callLines(event.leg, names));
  }
  const known = lines.filter((line) => line.at).sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  return [...known, ...lines.filter((line) => !line.at)];
}

function callLines(leg, names) {
  const found = [{ at: leg.started_at, kind: "call", text: t("story.called", { who: leg.caller || t("story.hidden") }) }];
  if (leg.ended_at) {
    const by = leg.hung_up_by === leg.uniqueid ? t("story.byCitizen") : "";
    found.push({ at: leg.ended_at, kind: "end", text: t("story.ended", { lasts: duration(seconds(leg)), by }) });
  } else if (leg.state === "cut_off") {
    found.push({ at: null, kind: "end", text: t("story.cutOff") });
  }
  return found;
}

function seconds(leg) {
  return (Date.parse(leg.ended_at) - Date.parse(leg.started_at || leg.ended_at)) / 1000;
}

function ledgerLines(entry, handovers, names) {
  const name = (id) => (id ? partyName(id, names) : t("story.nobody"));
  const handover = entry.handover ? handovers.get(entry.handover) : null;
  const values = {
    by: name(entry.by), to: name(entry.to), responsible: name(entry.responsible), detail: entry.detail || "",
    reason: handover && handover.reason ? handover.reason : "",
  };
  const line = { at: entry.at, kind: entry.event, entry, text: sentence(entry, values), more: "" };
  if (entry.event === "offered" && values.reason) line.more = t("story.reason", values);
  const found = [line];
  if (ENDS.has(entry.event) && handover && handover.returned_to) {
    found.push({ at: handover.returned_at, kind: "returned-call", text: t(`story.back.${handover.returned_to}`, values) });
  }
  return found;
}

const ENDS = new Set(["declined", "unanswered", "failed", "withdrawn"]);

function sentence(entry, values) {
  const { event, detail } = entry;
  switch (event) {
    case "taken":
      return t(entry.key.startsWith("contacted:") ? "story.contacted" : entry.by === entry.responsible ? "story.first" : "story.taken", { ...values, detail: inWords(detail) });
    case "offered":
      return t(has(`story.offered.${detail}`) ? `story.offered.${detail}` : "story.offered", values);
    case "accepted":
      return t(/three-way/.test(detail || "") ? "story.accepted.room" : "story.accepted", values);
    case "undecided":
      return t({ "joined a three-way call": "story.joined", "said too late": "story.late" }[detail] || "story.undecided", values);
    case "declined": case "unanswered": case "failed": case "withdrawn":
      return outcome(event, detail, values);
    case "reminded": case "escalated":
      return deadline(event, entry, values);
    case "edited":
      return t("story.edited", { ...values, detail: (detail || "").split(", ").map((one) => (has(`detail.${one}`) ? t(`detail.${one}`) : one)).join(t("story.and")) });
    default:
      return t(has(`story.${event}`) ? `story.${event}` : "story.other", { ...values, event, detail: inWords(detail) });
  }
}

function outcome(event, detail, values) {
  const found = OUTCOME.exec(detail || "");
  const word = found ? found[1] : event;
  const text = t(has(`story.outcome.${word}`) ? `story.outcome.${word}` : `story.outcome.${event}`, values);
  return found && found[3] ? `${text} ${t("story.said", { words: found[3] })}` : text;
}

function deadline(event, entry, values) {
  const found = DEADLINE.exec(entry.detail || "");
  if (!found) return t(`story.${event}`, { ...values, what: entry.detail || "", due: "" });
  const to = entry.to === "supervisors" ? t("story.supervisors") : (entry.to || "").startsWith("head") ? t("story.head") : values.to;
  return t(`story.${event}`, { ...values, to, what: t(`deadline.${found[1]}`), due: found[3] });
}

function inWords(detail) {
  if (!detail) return "";
  for (const [pattern, words] of DETAILS) {
    const found = pattern.exec(detail);
    if (found) return typeof words === "string" ? t(words, { detail: found[1] }) : words(found);
  }
  return detail;
}
