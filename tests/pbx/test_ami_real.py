"""The AMI client on a real Asterisk: asked, killed, cut and silenced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from telephony.ami_client import AmiClient, Event, LinkRefused
from telephony.asterisk_program import find_asterisk
from telephony.errors import PbxRefused, PbxUnavailable
from telephony.private_pbx import PrivatePbx
from tests.pbx.scene import pbx_settings

pytestmark = pytest.mark.pbx


@pytest.fixture
async def client(shared_pbx: PrivatePbx) -> AsyncIterator[AmiClient]:
    client = AmiClient.from_settings(shared_pbx.settings.pbx)
    await client.start()
    await client.wait_up(5)
    yield client
    await client.stop()


@pytest.fixture
def own_pbx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePbx]:
    """A PBX that the test may kill."""
    folder = tmp_path_factory.mktemp("pbx-own")
    for parent in (folder, *folder.parents[:3]):
        if parent.name.startswith(("pytest", "pbx", "popen")):
            parent.chmod(0o755)
    with PrivatePbx(find_asterisk(), folder / "root", pbx_settings(), rtp_ports=40) as pbx:
        yield pbx


class Proxy:
    """Stands between client and PBX; can fall silent or reset the link."""

    def __init__(self) -> None:
        self.port = 0
        self.open_ways = asyncio.Event()
        self.open_ways.set()
        self.links = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self, target_port: int) -> None:
        self._target_port = target_port
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.links += 1
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers += [writer, there_writer]
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self.open_ways.wait()
                sink.write(data)
        except ConnectionError:
            pass  # the other side was cut
        sink.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def stop(self) -> None:
        self._server.close()
        self.cut()
        self.open_ways.set()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_asks_of_every_kind_are_answered(client: AmiClient) -> None:
    assert (await client.action("Ping"))["Ping"] == "Pong"
    assert await client.list_action("CoreShowChannels") == []
    queue = await client.list_action("QueueStatus", {"Queue": "hotline"})
    assert queue[0].name == "QueueParams"
    assert queue[0]["Queue"] == "hotline"
    with pytest.raises(PbxRefused, match=r"(?i)no such channel|does not exist"):
        await client.action("Hangup", {"Channel": "PJSIP/nobody-00000001"})
    with pytest.raises(PbxRefused, match="Invalid/unknown command"):
        await client.action("NoSuchAction")


async def test_what_our_rights_do_not_cover_is_refused(client: AmiClient) -> None:
    with pytest.raises(PbxRefused, match="Permission denied"):
        await client.action("Command", {"Command": "core show applications"})


async def test_actions_sent_together_are_carried_out_in_order(client: AmiClient) -> None:
    futures = [
        client.submit("DBPut", {"Family": "amitest", "Key": "k", "Val": str(number)})
        for number in range(50)
    ]
    await asyncio.gather(*futures)
    (answer,) = await client.list_action("DBGet", {"Family": "amitest", "Key": "k"})
    assert answer["Val"] == "49"
    await client.action("DBDel", {"Family": "amitest", "Key": "k"})


async def test_an_originate_s_outcome_arrives_as_an_event(client: AmiClient) -> None:
    heard: asyncio.Queue[Event] = asyncio.Queue()
    client.add_event_listener(heard.put_nowait, ["OriginateResponse"])
    await client.action(
        "Originate",
        {
            "Channel": "Local/8@hotline-no-such-context",
            "Application": "Wait",
            "Data": "1",
            "Async": "true",
            "Variable": ["A=1", "B=2"],
            "CallerID": '"王小明" <13804210000>',
        },
    )
    async with asyncio.timeout(10):
        answer = await heard.get()
    assert answer["Response"] == "Failure"
    assert answer["CallerIDName"] == "王小明"


async def test_given_wrong_secret_when_signing_in_then_clear_error(shared_pbx: PrivatePbx) -> None:
    pbx = shared_pbx.settings.pbx
    client = AmiClient(pbx.host, pbx.ami_port, pbx.ami_user, "wrong")
    await client.start()
    with pytest.raises(LinkRefused, match="Authentication failed"):
        await client.wait_up(5)
    await client.stop()


async def test_given_asterisk_killed_when_started_again_then_linked_and_resynchronised(
    own_pbx: PrivatePbx,
) -> None:
    client = AmiClient.from_settings(own_pbx.settings.pbx)
    downs, ups = [], []
    down = asyncio.Event()

    async def resync() -> None:
        ups.append(len(await client.list_action("QueueStatus")))

    def gone() -> None:
        downs.append(1)
        down.set()

    client.on_up(resync)
    client.on_down(gone)
    await client.start()
    await client.wait_up(5)
    await asyncio.to_thread(own_pbx.kill)
    async with asyncio.timeout(2):
        await down.wait()
    with pytest.raises(PbxUnavailable):
        client.submit("Ping")
    await asyncio.to_thread(own_pbx.start)
    await client.wait_up(10)
    assert (await client.action("Ping")).ok
    assert downs == [1]
    assert ups[-1] >= 1, "the queue must be known to the last resync"
    await client.stop()


@pytest.mark.parametrize("way", ["cut", "silent"])
async def test_given_link_cut_or_silent_when_it_works_again_then_back_and_nothing_sent_twice(
    shared_pbx: PrivatePbx, way: str
) -> None:
    pbx = shared_pbx.settings.pbx
    proxy = Proxy()
    await proxy.start(pbx.ami_port)
    client = AmiClient(
        "127.0.0.1",
        proxy.port,
        pbx.ami_user,
        pbx.ami_secret.get_secret_value(),
        ping_interval=0.2,
        ping_timeout=0.3,
        action_timeout=30,
    )
    sent: list[str] = []
    client.add_listener(on_action=lambda source, action: sent.append(action.name))
    await client.start()
    await client.wait_up(5)
    proxy.open_ways.clear()
    waiting = client.submit("DBPut", {"Family": "amitest", "Key": way, "Val": "1"})
    if way == "cut":
        proxy.cut()
    async with asyncio.timeout(5):
        with pytest.raises(PbxUnavailable, match="was lost"):
            await waiting
    proxy.open_ways.set()
    await client.wait_up(5)
    assert (await client.action("Ping")).ok
    assert sent.count("DBPut") == 1
    assert proxy.links >= 2
    await client.stop()
    await proxy.stop()
