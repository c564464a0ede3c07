"""The outbox: written with its reason, delivered until it arrives, in order, once."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update

from telephony.database import Database
from telephony.errors import SettingsError, WrongState
from telephony.orders.delivery import Delivery
from telephony.orders.outbox import OUTBOX, MessageNotFound, Outbox, enqueue
from telephony.settings import Settings, as_environment, load_settings
from tests.unit.order_receiving import (
    SECRET,
    HeldReceiver,
    eventually,
    free_port,
    listening,
)
from tests.unit.test_commands_service import environment, start

FAST = {"first_retry_s": 0.01, "longest_retry_s": 0.05}


def settings_for(port: int, *, platform: dict[str, Any] | None = None, **outbox: Any) -> Settings:
    one = {"id": "p", "url": f"http://127.0.0.1:{port}/orders", "secrets": [SECRET]}
    return load_settings(platforms=[one | (platform or {})], outbox=FAST | outbox)


async def put(database: Database, *messages: tuple[str | None, str]) -> None:
    """Put messages in, each in a transaction of its own: case and key."""
    for case, key in messages:
        async with database.writing() as connection:
            await enqueue(
                connection, destination="p", kind="test", case_id=case, body={"键": key}, key=key
            )


async def states(database: Database) -> dict[str, str]:
    async with database.reading() as connection:
        rows = await connection.execute(select(OUTBOX.c.key, OUTBOX.c.state))
        return dict(map(tuple, rows))


async def all_are(database: Database, state: str) -> bool:
    return set((await states(database)).values()) == {state}


@asynccontextmanager
async def delivering(database: Database, settings: Settings) -> AsyncIterator[Delivery]:
    delivery = Delivery(Outbox(database), settings, poll_s=0.01)
    delivery.start()
    try:
        yield delivery
    finally:
        await delivery.stop()


def ids(receiver: HeldReceiver, case: str | None = None) -> list[str]:
    return [one["id"] for one in receiver.messages if case is None or one["case"] == case]


async def test_given_a_transaction_that_fails_then_nothing_is_told(database: Database) -> None:
    async def happen() -> None:
        async with database.writing() as connection:
            told = {"destination": "p", "kind": "test", "case_id": "c"}
            await enqueue(connection, **told, body={}, key="never")
            raise RuntimeError("the reason did not happen")

    with pytest.raises(RuntimeError, match="the reason"):
        await happen()
    assert await states(database) == {}


async def test_given_the_same_key_twice_then_once_and_the_numbering_has_no_gap(
    database: Database,
) -> None:
    await put(database, ("c", "1"), ("c", "1"), (None, "x"), (None, "x"), ("d", "1"), ("c", "2"))
    await asyncio.gather(*(put(database, ("c", "3")) for _ in range(5)))
    await asyncio.gather(*(put(database, ("c", f"k{n}")) for n in range(5)))
    async with database.reading() as connection:
        query = select(OUTBOX.c.key, OUTBOX.c.sequence).where(OUTBOX.c.case_id == "c")
        rows = [tuple(one) for one in await connection.execute(query)]
    assert {key for key, _ in rows} == {"1", "2", "3", *(f"k{n}" for n in range(5))}
    assert sorted(number for _, number in rows) == list(range(1, 9))


async def test_given_a_message_then_it_arrives_signed_and_whole(database: Database) -> None:
    receiver = HeldReceiver()
    await put(database, ("案", "k"))
    async with listening(receiver) as port, delivering(database, settings_for(port)):
        await eventually(lambda: all_are(database, "delivered"))
    (message,) = receiver.messages
    assert message.pop("at").endswith("+00:00")
    told = {"version": 1, "id": "k", "kind": "test", "case": "案", "sequence": 1}
    assert message == told | {"data": {"键": "k"}}


async def test_given_the_other_side_is_down_then_all_arrive_later_once_and_in_order(
    database: Database, tmp_path: Path
) -> None:
    port = free_port()
    cases = [f"c{n}" for n in range(4)]
    messages = [(case, f"{case}/{n}") for n in range(6) for case in cases]
    first = HeldReceiver(store=tmp_path / "taken")
    async with delivering(database, settings_for(port, at_once=3)):
        await put(database, *messages[:8], (None, "alone"))

        async def tried() -> bool:
            async with database.reading() as connection:
                failed = select(OUTBOX.c.id).where(OUTBOX.c.last_error == "ConnectError")
                return (await connection.scalar(failed)) is not None

        await eventually(tried)
        async with listening(first, port):
            await first.until(lambda: len(first.messages) >= 5)
        # Down again, in the middle; what it had is on its disk.
        await put(database, *messages[8:])
        second = HeldReceiver(store=tmp_path / "taken")
        async with listening(second, port):
            await eventually(lambda: all_are(database, "delivered"))
    for case in cases:
        assert ids(second, case) == [f"{case}/{n}" for n in range(6)]
    assert len(second.messages) == len(messages) + 1
    assert not first.refused + second.refused


async def test_given_one_case_then_one_message_at_a_time_and_other_cases_do_not_wait(
    database: Database,
) -> None:
    receiver = HeldReceiver()
    receiver.go.clear()
    await put(
        database, *(("c", f"c{n}") for n in range(3)), ("d", "d0"), (None, "n0"), (None, "n1")
    )
    async with listening(receiver) as port, delivering(database, settings_for(port, at_once=9)):
        await receiver.until(lambda: len(receiver.tries) == 4)
        assert set(receiver.tries) == {"c0", "d0", "n0", "n1"}
        receiver.go.set()
        await eventually(lambda: all_are(database, "delivered"))
    assert ids(receiver, "c") == ["c0", "c1", "c2"]


async def test_given_two_services_then_each_message_is_sent_once(database: Database) -> None:
    receiver = HeldReceiver()
    await put(database, *((f"c{n % 7}", f"k{n}") for n in range(60)))
    async with listening(receiver) as port:
        settings = settings_for(port, at_once=4)
        async with delivering(database, settings), delivering(database, settings):
            await eventually(lambda: all_are(database, "delivered"))
    assert sorted(receiver.tries) == sorted(f"k{n}" for n in range(60))
    for case in range(7):
        assert ids(receiver, f"c{case}") == [f"k{n}" for n in range(60) if n % 7 == case]


async def test_given_a_lease_then_nobody_else_has_it_until_it_runs_out(database: Database) -> None:
    outbox = Outbox(database)
    await put(database, ("c", "1"), ("c", "2"))
    (mine,) = await outbox.claim("p", by="me", limit=9, lease_s=60)
    assert await outbox.claim("p", by="you", limit=9, lease_s=60) == []
    async with database.writing() as connection:
        await connection.execute(update(OUTBOX).values(leased_until=OUTBOX.c.created_at))
    (yours,) = await outbox.claim("p", by="you", limit=9, lease_s=60)
    assert (yours.key, yours.attempts) == ("1", 2)
    # Who was too slow changes nothing any more.
    assert not await outbox.given_up(mine, by="me", error="late")
    assert not await outbox.delivered(mine, by="me")
    assert await outbox.delivered(yours, by="you")
    assert [one.key for one in await outbox.claim("p", by="me", limit=9, lease_s=60)] == ["2"]
    await outbox.let_go(by="me")
    assert [one.key for one in await outbox.claim("p", by="you", limit=9, lease_s=60)] == ["2"]


async def test_given_no_success_then_it_is_given_up_and_an_admin_sends_it_again(
    database: Database,
) -> None:
    receiver, outbox, port = HeldReceiver(), Outbox(database), free_port()
    await put(database, ("c", "1"), ("c", "2"), ("d", "3"))
    async with delivering(database, settings_for(port, attempts=3)):
        wanted = {"1": "dead", "2": "waiting", "3": "dead"}

        async def given_up() -> bool:
            return await states(database) == wanted

        await eventually(given_up)
        (shown,) = (await outbox.messages(case="d")).items
        assert (shown["attempts"], shown["last_error"], shown["state"]) == (
            3,
            "ConnectError",
            "dead",
        )
        assert "body" not in shown
        assert (await outbox.counts()) == {"waiting": 1, "dead": 2}
        async with listening(receiver, port):
            by_state = await outbox.messages(state="dead", case="c")
            await outbox.retry(by_state.items[0]["id"], by="admin", role="admin")
            await receiver.until(lambda: "2" in receiver.tries)
            assert await outbox.retry_all(destination="p", by="admin", role="admin") == 1
            await eventually(lambda: all_are(database, "delivered"))
    assert ids(receiver, "c") == ["1", "2"]
    with pytest.raises(WrongState, match="delivered"):
        await outbox.retry(shown["id"], by="admin", role="admin")
    with pytest.raises(MessageNotFound):
        await outbox.skip(10**9, by="admin", role="admin", reason="x")


async def test_given_a_message_the_other_side_refuses_then_later_ones_wait_until_it_is_skipped(
    database: Database,
) -> None:
    receiver, outbox = HeldReceiver(), Outbox(database)
    await put(database, ("c", "1"), ("c", "2"))
    # It has a later message of this case already: the first is out of its turn there.
    receiver._know({"id": "0", "case": "c", "sequence": 1})
    async with listening(receiver) as port, delivering(database, settings_for(port)):

        async def refused() -> bool:
            return await states(database) == {"1": "dead", "2": "waiting"}

        await eventually(refused)
        (dead,) = (await outbox.messages(state="dead")).items
        assert dead["last_error"] == "HTTP 409 order-out-of-turn"
        assert dead["attempts"] == 1
        await outbox.skip(dead["id"], by="admin", role="admin", reason="settled by phone")
        await receiver.until(lambda: "2" in receiver.tries)
    assert receiver.refused == ["order-out-of-turn"]
    assert (await states(database))["1"] == "skipped"


@pytest.mark.parametrize("wrong", ["secret", "clock"])
async def test_given_a_wrong_secret_or_clock_then_it_is_refused_and_kept(
    database: Database, wrong: str
) -> None:
    ahead = 10_000.0 if wrong == "clock" else 0.0
    receiver = HeldReceiver(now=lambda: time.time() + ahead)
    platform = {"secrets": ["another-" * 5]} if wrong == "secret" else {}
    await put(database, ("c", "1"))
    async with listening(receiver) as port:
        settings = settings_for(port, platform=platform, attempts=2)
        async with delivering(database, settings):
            await eventually(lambda: all_are(database, "dead"))
    code = {"secret": "signature-wrong", "clock": "signature-expired"}[wrong]
    assert receiver.refused == [code, code]
    assert receiver.messages == []
    (dead,) = (await Outbox(database).messages()).items
    assert dead["last_error"] == f"HTTP 401 {code}"


async def test_given_an_answer_that_never_comes_then_it_is_sent_again_and_taken_once(
    database: Database,
) -> None:
    receiver = HeldReceiver()
    receiver.go.clear()
    await put(database, ("c", "1"), ("c", "2"))
    async with listening(receiver) as port:
        settings = settings_for(port, platform={"timeout_s": 0.3})
        async with delivering(database, settings):
            await receiver.until(lambda: len(receiver.tries) == 2)
            receiver.go.set()
            await eventually(lambda: all_are(database, "delivered"))
    assert ids(receiver) == ["1", "2"]
    # Sent again within the same second it has the same signature, and has arrived for sure.
    assert set(receiver.refused) <= {"order-replayed"}


@pytest.mark.parametrize(
    ("url", "numbers", "fits"),
    [
        ("https://orders.example/x", True, True),
        ("http://127.0.0.1:8010/x", True, True),
        ("http://[::1]:8010/x", True, True),
        ("http://orders.example/x", False, True),
        ("http://orders.example/x", True, False),
        ("http://127.0.0.1.example/x", True, False),
        ("https://orders.example:99999/x", True, False),
        ("https://a:b:c/x", True, False),
    ],
)
def test_given_an_address_then_numbers_do_not_travel_in_clear(
    url: str, numbers: bool, fits: bool
) -> None:
    one = {"id": "p", "url": url, "secrets": [SECRET], "numbers": numbers}
    if fits:
        assert load_settings(platforms=[one]).platforms[0].url == url
    else:
        with pytest.raises(SettingsError, match="platforms"):
            load_settings(platforms=[one])


async def test_given_a_platform_that_left_the_settings_then_the_list_says_so(
    database: Database,
) -> None:
    await put(database, ("c", "1"))
    outbox = Outbox(database)
    assert await outbox.tidy(["q"], keep_days=1) == 1
    (shown,) = (await outbox.messages()).items
    assert (shown["state"], shown["last_error"]) == ("waiting", "no such platform in settings")


async def test_given_the_service_is_killed_in_mid_delivery_then_the_next_one_sends_it_again(
    tmp_path: Path, sqlite_template: Path
) -> None:
    receiver = HeldReceiver()
    receiver.go.clear()
    shutil.copy(sqlite_template, tmp_path / "record.sqlite")
    database = Database(f"sqlite:///{tmp_path}/record.sqlite")
    await put(database, ("c", "1"), ("c", "2"), ("c", "3"))
    async with listening(receiver) as port:
        named = as_environment(settings_for(port, platform={"timeout_s": 1.0}))
        more = {name: named[name] for name in ("HOTLINE_PLATFORMS", "HOTLINE_OUTBOX")}
        env = environment(tmp_path, None, **more)
        process = await start(tmp_path, env, "up", "--port", "0")
        try:
            await receiver.until(lambda: receiver.tries == ["1"], 30)
        finally:
            process.kill()
            await process.communicate()
        assert await all_are(database, "waiting")
        receiver.go.set()
        process = await start(tmp_path, env, "up", "--port", "0")
        try:
            await eventually(lambda: all_are(database, "delivered"), 30)
        finally:
            process.terminate()
            _, said = await asyncio.wait_for(process.communicate(), 20)
    await database.close()
    assert receiver.tries == ["1", "1", "2", "3"]
    assert ids(receiver) == ["1", "2", "3"]
    assert process.returncode == 0
    assert not [line for line in lines(said) if line.get("level") == "error"]


def lines(said: bytes) -> Sequence[dict[str, Any]]:
    return [orjson.loads(line) for line in said.splitlines() if line.startswith(b"{")]
