// Who is who: names of agents and desks, loaded once.
import { http } from "../shared/http.js";
import { pick, t } from "../shared/i18n.js";

/**
 * Agents and desks: {people: [{id, name, department, kind}], departments, byId}. The record can be
 * read without the PBX, which alone knows the agents: then there are only their numbers.
 */
export async function loadNames() {
  const [agents, desks, matters, reasons] = await Promise.all([
    http.get("/agents").catch(whileAway), http.get("/desks"), http.get("/matters", { limit: 500 }),
    http.get("/pause-reasons"),
  ]);
  return namesOf([
    ...agents.items.map(({ id, name, department }) => ({ id, name, department, kind: "agent" })),
    ...desks.items.map(({ id, name, department, kind }) => ({ id, name, department, kind })),
  ], matters.items, reasons.items);
}

function whileAway(error) {
  if (error.status === 503) return { items: [] };
  throw error;
}

export function namesOf(people, matters = [], reasons = []) {
  const departments = [...new Set(people.map((one) => one.department).filter(Boolean))].sort();
  const codes = new Map(matters.map((one) => [one.code, one.name]));
  const matter = (code) => codes.get(code) || code || "";
  const reason = (kept) => pick(reasons.find((one) => one.zh === kept) || { zh: kept, en: kept });
  return { people, departments, byId: new Map(people.map((one) => [one.id, one])), matter, reason };
}

/** An agent or desk as people call them: 甲 8001; what is not known stays as it is. */
export function partyName(id, names) {
  const one = names.byId.get(id);
  if (!one || !one.name) return id || "";
  return one.name.includes(id) ? one.name : `${one.name} ${id}`;
}

/** Whose leg it is. */
export function legName(leg, names) {
  const party = leg.role === "citizen" ? leg.party || leg.caller : leg.agent || leg.party;
  return (party && partyName(party, names)) || t(`role.${leg.role || "other"}`);
}
