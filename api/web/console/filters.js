// What was typed into the search box, as filters of the record's lists. Pure.

const CASE = /^20\d{6}-\d+\.\d+$/;
// A whole number: a mobile one, a landline one with its area code, or any with its country code.
const NUMBER = /^(\+\d{8,15}|1[3-9]\d{9}|0\d{9,11})$/;

/**
 * What typed words mean: {field, value}, or null while they mean nothing yet. People are known by
 * their number or name, desks and departments by their name.
 */
export function meaning(typed, names) {
  const text = typed.trim();
  if (!text) return null;
  if (CASE.test(text)) return { field: "case", value: text };
  const digits = text.replace(/[ \-()]/g, "");
  const person = names.people.find((one) => one.id === digits || one.name === text);
  if (person) return { field: person.kind === "agent" ? "agent" : "desk", value: person.id };
  if (NUMBER.test(digits)) return { field: "caller", value: digits };
  const department = names.departments.find((one) => one === text);
  return department ? { field: "department", value: department } : null;
}

/** People, desks and departments that hold what was typed, at most this many. */
export function matching(typed, names, most = 6) {
  const text = typed.trim().toLowerCase();
  if (!text) return [];
  const people = names.people
    .filter((one) => one.id.startsWith(text) || (one.name || "").toLowerCase().includes(text))
    .map((one) => ({ field: one.kind === "agent" ? "agent" : "desk", value: one.id, name: one.name, note: one.department }));
  const departments = names.departments
    .filter((one) => one.toLowerCase().includes(text))
    .map((one) => ({ field: "department", value: one, name: one }));
  return [...people, ...departments].slice(0, most);
}

const ZONE_MS = 8 * 3600 * 1000;

/** A day in China as people write it, so many days from now: 2026-11-24. */
export function day(now, days = 0) {
  return new Date(now + ZONE_MS + days * 86400000).toISOString().slice(0, 10);
}

/** From the beginning of one day to the end of another (both included), as the interface asks. */
export function span(from, to) {
  const query = {};
  if (from) query.from = `${from}T00:00:00+08:00`;
  if (to) query.to = `${day(Date.parse(`${to}T00:00:00+08:00`), 1)}T00:00:00+08:00`;
  return query;
}
