"""What the agents' desk says of a hand-over whose end it was not told, or that came to nothing."""

from __future__ import annotations

import pytest

from tests.web.floor import SignIn

pytestmark = pytest.mark.pbx

WHAT_THE_DESK_KNOWS = """async () => {
  const { Desk } = await import("/desk/model.js");
  const live = Object.assign(new EventTarget(), { calls: new Map(), up: true });
  const mine = { agent: "8001" };
  const desk = new Desk({}, live, { mine, desks: [], reasons: [], status: null });
  const news = (type, state) => {
    const parties = [{ party: "8001", role: "agent", state: "Up" }];
    live.calls = new Map([["c", { id: "c", state, parties }]]);
    live.dispatchEvent(new CustomEvent("change", { detail: { type } }));
    return desk.progress && desk.progress.outcome;
  };
  const ask = window.fetch;
  const headers = { "Content-Type": "application/json" };
  const found = { state: "busy", decided_at: "2026-11-24T00:00:00Z", returned_to: "agent" };
  window.fetch = async () => new Response(JSON.stringify(found), { headers });
  desk._progress({ id: "h1", desk: "110", kind: "one-key", state: "offered" });
  const known = [news("changes", "handing-over"), news("snapshot", "talking")];
  await new Promise((done) => desk.addEventListener("change", done, { once: true }));
  window.fetch = ask;
  known.push(desk.progress.outcome, desk.progress.to);
  desk._progress({ id: "h2", desk: "110", kind: "consult", state: "ended", outcome: "accepted" });
  known.push(news("changes", "three-way"), news("changes", "talking"), desk.hasCitizen(desk.call));
  return known;
}"""


def test_given_a_handover_that_ended_unheard_then_the_record_is_asked_and_a_guest_took_nobody(
    sign_in: SignIn,
) -> None:
    page = sign_in("colleague")
    # Offered; ended while nobody listened, at first not known how; then as the record has it.
    asked = [None, "meanwhile", "busy", "agent"]
    # Who joined a three-way call and left it again has not taken the citizen, who is gone too.
    guest = ["accepted", None, False]
    assert page.evaluate(WHAT_THE_DESK_KNOWS) == [*asked, *guest]
