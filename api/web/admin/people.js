// People who sign in: who they are, their roles, a new password, and whether they may at all.
import { html, useState } from "../vendor/preact-htm.js";
import { http } from "../shared/http.js";
import { dayTime, t } from "../shared/i18n.js";
import { Dialog, Field, tell } from "../shared/shell.js";
import { Ask, Heading, Loading, Table, Tag, Trouble, useLoad } from "./parts.js";

const ROLES = ["agent", "supervisor", "admin", "auditor", "integrator"];
const LISTENS = ["supervisor", "admin"];

/** A password that nobody guesses, to be told to the person and changed by them. */
function invented() {
  const letters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789";
  return [...crypto.getRandomValues(new Uint32Array(14))].map((one) => letters[one % letters.length]).join("");
}

/** What is wrong at which field, from what the server said. */
function wrongAt(error) {
  if (error.code === "person-exists") return { name: t("people.exists") };
  if (error.code === "person-invalid") return { [error.body.field]: personWords(error) };
  if (error.code === "password-weak") return { password: t(`people.weak.${error.body.rule}`) };
  if (error.code === "request-invalid") {
    return Object.fromEntries(Object.entries(error.fields).map(([field, said]) => [field.split(".")[0], said]));
  }
  return { all: error };
}

function personWords(error) {
  const field = error.body.field;
  if (field === "agent") {
    const known = /there are: (.*)$/.exec(error.detail);
    return known ? t("people.agent.unknown", { known: known[1] }) : t("people.agent.needed");
  }
  return t(`people.wrong.${field}`);
}

function PersonForm({ person, phones, onClose, done }) {
  const isNew = !person;
  const [typed, type] = useState(() => ({
    name: "", display_name: "", department: "", may_monitor: false, password: isNew ? invented() : "",
    ...person, roles: person ? person.roles : ["agent"], agent: person?.agent || "",
    sees_numbers: person ? String(person.sees_numbers ?? "") : "",
  }));
  const [wrong, setWrong] = useState({});
  const [busy, setBusy] = useState(false);
  const put = (field, value) => {
    type({ ...typed, [field]: value });
    setWrong({ ...wrong, [field]: undefined, all: undefined });
  };
  const text = (field, more = {}) => html`<${Field} label=${t(`people.${field}`)} error=${wrong[field]} hint=${more.hint}>
    <input name=${field} value=${typed[field]} onInput=${(event) => put(field, event.target.value)} ...${more.input} /><//>`;

  async function save(event) {
    event.preventDefault();
    const missing = {};
    if (!typed.name.trim()) missing.name = t("field.required");
    if (!typed.display_name.trim()) missing.display_name = t("field.required");
    if (!typed.roles.length) missing.roles = t("people.wrong.roles");
    if (typed.roles.includes("agent") && !typed.agent) missing.agent = t("people.agent.needed");
    setWrong(missing);
    if (Object.keys(missing).length || busy) {
      requestAnimationFrame(() => document.querySelector("dialog [aria-invalid]")?.focus());
      return;
    }
    const body = {
      display_name: typed.display_name.trim(), roles: typed.roles, agent: typed.agent || null, department: typed.department.trim(),
      may_monitor: typed.may_monitor && typed.roles.some((role) => LISTENS.includes(role)),
      sees_numbers: typed.sees_numbers === "" ? null : typed.sees_numbers === "true",
    };
    setBusy(true);
    try {
      if (isNew) await http.post("/people", { ...body, name: typed.name.trim(), password: typed.password });
      else await http.patch(`/people/${encodeURIComponent(person.name)}`, body);
      onClose();
      done(t(isNew ? "people.added" : "people.saved", { name: typed.display_name }));
    } catch (error) {
      setBusy(false);
      setWrong(wrongAt(error));
      requestAnimationFrame(() => document.querySelector("dialog [aria-invalid]")?.focus());
    }
  }
  return html`<${Dialog} title=${isNew ? t("people.add") : t("people.change", { name: person.display_name })} onClose=${onClose}>
    <form class="form-grid" onSubmit=${save} novalidate>
      ${text("name", { hint: isNew ? t("people.name.hint") : t("people.name.stays"), input: { readonly: !isNew, autocapitalize: "none", autocomplete: "off", spellcheck: false } })}
      ${text("display_name", { input: { autocomplete: "off" } })}
      <fieldset class="wide"><legend>${t("people.roles")}</legend>
        <div class="row">${ROLES.map((role) => html`<label class="row check" key=${role}><input type="checkbox" name="roles" value=${role}
          checked=${typed.roles.includes(role)} onChange=${(event) => put("roles", ROLES.filter((one) => (one === role ? event.target.checked : typed.roles.includes(one))))} />${t(`role.${role}`)}</label>`)}</div>
        ${wrong.roles && html`<small class="error">${wrong.roles}</small>`}
        <small class="hint">${typed.roles.map((role) => t(`role.${role}.may`)).join(" ")}</small></fieldset>
      <${Field} label=${t("people.agent")} error=${wrong.agent} hint=${t("people.agent.hint")}>
        <select name="agent" value=${typed.agent} onChange=${(event) => put("agent", event.target.value)}>
          <option value="">${t("people.agent.none")}</option>
          ${phones.map((one) => html`<option value=${one.id} key=${one.id}>${one.id} ${one.name}</option>`)}
          ${typed.agent && !phones.some((one) => one.id === typed.agent) && html`<option value=${typed.agent}>${typed.agent}</option>`}
        </select><//>
      ${text("department")}
      <${Field} label=${t("people.sees_numbers")} error=${wrong.sees_numbers}>
        <select name="sees_numbers" value=${typed.sees_numbers} onChange=${(event) => put("sees_numbers", event.target.value)}>
          <option value="">${t("people.sees.role")}</option><option value="true">${t("people.sees.all")}</option><option value="false">${t("people.sees.none")}</option>
        </select><//>
      <label class="row check end"><input type="checkbox" name="may_monitor" checked=${typed.may_monitor}
        disabled=${!typed.roles.some((role) => LISTENS.includes(role))} onChange=${(event) => put("may_monitor", event.target.checked)} />${t("people.may_monitor")}</label>
      ${isNew && html`<div class="wide">${text("password", { hint: t("people.password.hint"), input: { autocomplete: "new-password", class: "mono" } })}</div>`}
      ${wrong.all && html`<div class="wide"><${Trouble} error=${wrong.all} /></div>`}
      <div class="row ends wide"><button type="button" onClick=${onClose}>${t("cancel")}</button>
        <button class="primary" aria-disabled=${busy ? "true" : undefined}>${t(busy ? "doing" : "save")}</button></div>
    </form>
  <//>`;
}

function NewPassword({ person, onClose, done }) {
  const [password, set] = useState(invented);
  const [wrong, setWrong] = useState("");
  return html`<${Ask} title=${t("people.reset", { name: person.display_name })} text=${t("people.reset.means")} word=${t("people.reset.go")}
    onClose=${onClose} done=${() => done(t("people.reset.done", { name: person.display_name }))}
    go=${async () => {
      try {
        await http.post(`/people/${encodeURIComponent(person.name)}/password`, { password });
      } catch (error) {
        if (error.code === "password-weak") setWrong(t(`people.weak.${error.body.rule}`));
        throw error;
      }
    }}>
    <${Field} label=${t("people.password")} error=${wrong} hint=${t("people.password.hint")}>
      <input class="mono" name="password" value=${password} autocomplete="new-password" onInput=${(event) => {
        set(event.target.value);
        setWrong("");
      }} /><//>
  <//>`;
}

export function People({ who, may }) {
  const { data, error, loading, again } = useLoad("/people");
  const setup = useLoad("/setup");
  const [open, show] = useState(null);
  if (error) return html`<${Trouble} error=${error} again=${again} />`;
  if (!data) return html`<${Loading} />`;
  const phones = setup.data ? setup.data.phones : [];
  const close = () => show(null);
  const done = (said) => {
    tell(said, "good");
    again();
  };
  const path = (person) => `/people/${encodeURIComponent(person.name)}`;
  const columns = [
    ["name", (one) => html`<span class="mono">${one.name}</span>`],
    ["display_name", (one) => one.display_name],
    ["roles", (one) => html`<span class="row">${one.roles.map((role) => html`<${Tag} key=${role}>${t(`role.${role}`)}<//>`)}</span>`],
    ["phone", (one) => one.agent || "–", "number"],
    ["department", (one) => one.department || "–"],
    ["state", (one) => (one.active ? html`<${Tag} kind="good">${t("people.active")}<//>` : html`<${Tag} kind="bad">${t("people.inactive")}<//>`)],
    ["changed", (one) => html`<span class="number">${dayTime(one.changed_at)}</span> <span class="quiet">${one.changed_by}</span>`],
  ];
  if (may) {
    columns.push(["do", (one) => html`<span class="row tight">
      <button class="small" onClick=${() => show({ what: "form", person: one })} aria-label=${t("people.change", { name: one.display_name })}>${t("change")}</button>
      <button class="small" onClick=${() => show({ what: "password", person: one })} aria-label=${t("people.reset", { name: one.display_name })}>${t("people.password.new")}</button>
      ${one.active && html`<button class="small" onClick=${() => show({ what: "out", person: one })} aria-label=${t("people.out", { name: one.display_name })}>${t("people.out.short")}</button>`}
      <button class="small" disabled=${one.name === who.name} onClick=${() => show({ what: "active", person: one })}
        aria-label=${t(one.active ? "people.disable" : "people.enable", { name: one.display_name })}>${t(one.active ? "people.disable.short" : "people.enable.short")}</button>
    </span>`]);
  }
  const person = open?.person;
  return html`<div class="stack" aria-busy=${loading ? "true" : "false"}>
    <${Heading} note=${t("people.note")} tools=${may && html`<button class="primary" onClick=${() => show({ what: "form" })}>${t("people.add")}</button>`}>${t("admin.people")}<//>
    <section class="card list-card"><${Table} label=${t("admin.people")} columns=${columns} rows=${data.items} rowKey=${(one) => one.name} empty=${t("people.none")} /></section>
    ${open?.what === "form" && html`<${PersonForm} person=${person} phones=${phones} onClose=${close} done=${done} />`}
    ${open?.what === "password" && html`<${NewPassword} person=${person} onClose=${close} done=${done} />`}
    ${open?.what === "out" && html`<${Ask} title=${t("people.out", { name: person.display_name })} text=${t("people.out.means")} word=${t("people.out.short")} onClose=${close}
      go=${() => http.del(`${path(person)}/sessions`)} done=${(result) => done(t("people.out.done", { n: result.ended }))} />`}
    ${open?.what === "active" && html`<${Ask} danger=${person.active} title=${t(person.active ? "people.disable" : "people.enable", { name: person.display_name })}
      text=${t(person.active ? "people.disable.means" : "people.enable.means")} word=${t(person.active ? "people.disable.short" : "people.enable.short")} onClose=${close}
      go=${() => http.patch(path(person), { active: !person.active })} done=${() => done(t("people.saved", { name: person.display_name }))} />`}
  </div>`;
}
