"""A manager interface without an Asterisk behind it, for unit tests only.

It keeps channels and bridges, tells of every change by the events a real Asterisk 22 sends (the
header names are taken from one), and answers the actions that the service asks. It speaks over a
real socket, so links can be cut and answers withheld.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlencode

from telephony.settings import Pbx, Settings, load_settings

Packet = dict[str, str]
Answer = Callable[[Packet], Awaitable[None] | None]


@dataclass(slots=True)
class SimChannel:
    """A channel as the simulated PBX knows it."""

    uniqueid: str
    name: str
    linkedid: str
    state: str
    context: str
    exten: str
    caller: str
    account: str = ""
    bridge: str = ""
    application: str = ""
    data: str = ""
    variables: Packet = field(default_factory=dict)

    def snapshot(self) -> Packet:
        return {
            "Channel": self.name,
            "ChannelState": "6" if self.state == "Up" else "4",
            "ChannelStateDesc": self.state,
            "CallerIDNum": self.caller or "<unknown>",
            "CallerIDName": "<unknown>",
            "ConnectedLineNum": "<unknown>",
            "ConnectedLineName": "<unknown>",
            "Language": "zh",
            "AccountCode": self.account,
            "Context": self.context,
            "Exten": self.exten,
            "Priority": "1",
            "Uniqueid": self.uniqueid,
            "Linkedid": self.linkedid,
        }


class SimulatedPbx:
    """Asterisk's manager interface, as far as the service uses it."""

    def __init__(self) -> None:
        self.channels: dict[str, SimChannel] = {}
        self.actions: list[Packet] = []
        self.asked = asyncio.Event()
        """Set by every action; who waits for the next one clears it."""
        self.endpoints: dict[str, str] = {}
        """PJSIP endpoints, and the state of each as they are listed."""
        self.silent: set[str] = set()
        """Actions that get no answer."""
        self.refused: dict[str, str] = {}
        """Actions that are refused, with the message."""
        self.before_status: Callable[[], None] = lambda: None
        self.after_status: Callable[[], None] = lambda: None
        self.extensions: set[tuple[str, str]] = {
            (context, exten)
            for context in ("hotline-transfer", "hotline-third")
            for exten in ("110", "12345", "122", "8001", "8002")
        }
        self.astdb: dict[tuple[str, str], str] = {}
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.StreamWriter] = set()
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the socket -----------------------------------------------------------------------------

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """No link any more, and none to be had."""
        if self._server is not None:
            self._server.close()
        self.cut_links()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut_links(self) -> None:
        for writer in self._links:
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def settings(self, **overrides: object) -> Settings:
        """Settings that point here, with two agents."""
        pbx = Pbx(name="pbx1", ami_port=self.port, action_timeout_s=1.0)
        agents = [{"id": "8001", "name": "甲"}, {"id": "8002", "name": "乙"}]
        return load_settings(**{"pbx": pbx, "agents": agents, **overrides})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        writer.write(b"Asterisk Call Manager/11.0.0\r\n")
        try:
            while True:
                raw = await reader.readuntil(b"\r\n\r\n")
                packet = _read(raw)
                if packet["Action"] == "Login":
                    self._links.add(writer)
                self._answer(packet, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone, which is how every link ends
        finally:
            self._links.discard(writer)
            writer.close()

    def _answer(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        action = packet["Action"]
        if action not in ("Login", "Ping"):
            self.actions.append(packet)
            self.asked.set()
        if action in self.silent:
            return
        if action in self.refused:
            self._reply(writer, packet, "Error", Message=self.refused[action])
            return
        handler = getattr(self, f"_do_{action.lower()}", None)
        if handler is None:
            self._reply(writer, packet, "Success")
        else:
            handler(packet, writer)

    def _reply(
        self, writer: asyncio.StreamWriter, packet: Packet, response: str, **headers: str
    ) -> None:
        ids = {"ActionID": packet["ActionID"]} if "ActionID" in packet else {}
        writer.write(_render({"Response": response, **ids, **headers}))

    def _do_login(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        self._reply(writer, packet, "Success", Message="Authentication accepted")
        writer.write(_render({"Event": "FullyBooted", "Status": "Fully Booted"}))

    def _do_status(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        self.before_status()
        self._reply(writer, packet, "Success", EventList="start")
        names = packet.get("Variables", "").split(",")
        for channel in list(self.channels.values()):
            more = {
                "BridgeID": channel.bridge,
                "Application": channel.application,
                "Data": channel.data,
                "ActionID": packet["ActionID"],
            }
            variables = [
                f"Variable: {name}={channel.variables.get(name, '(null)')}" for name in names
            ]
            writer.write(_render({"Event": "Status", **channel.snapshot(), **more}, variables))
        # What happens while the list is on its way comes between its lines.
        self.after_status()
        end = {"Event": "StatusComplete", "EventList": "Complete", "ActionID": packet["ActionID"]}
        writer.write(_render(end))

    def _do_getvar(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        name = packet["Variable"]
        value = ""
        function, _, arguments = name.rstrip(")").partition("(")
        if function == "DIALPLAN_EXISTS":
            context, exten, _ = arguments.split(",")
            value = "1" if (context, exten) in self.extensions else "0"
        elif function == "CHANNEL_EXISTS":
            value = "1" if self._named(arguments) else "0"
        elif "Channel" in packet:
            channel = self._named(packet["Channel"])
            if channel is None:
                self._reply(writer, packet, "Error", Message="No such channel")
                return
            value = channel.variables.get(name, "")
        self._reply(writer, packet, "Success", Variable=name, Value=value)

    def _do_setvar(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        channel = self._named(packet.get("Channel", ""))
        if channel is None:
            self._reply(writer, packet, "Error", Message="No such channel")
            return
        channel.variables[packet["Variable"]] = packet["Value"]
        self._reply(writer, packet, "Success", Message="Variable Set")

    def _do_redirect(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        channel = self._named(packet["Channel"])
        if channel is None:
            self._reply(writer, packet, "Error", Message="Channel does not exist")
            return
        self._reply(writer, packet, "Success", Message="Redirect successful")
        if packet["Context"] == "hotline-transfer":
            kind, by, _, _ = channel.variables.get("SHARED(PRESS)", "|||").split("|")
            self.leave_bridge(channel)
            handover = self.offered(channel, packet["Exten"], by=by, kind=kind)
            ours = {"HANDOVER_ID": handover, "DESK": packet["Exten"], "BY": by, "KIND": kind}
            channel.variables.update({"SHARED(HANDOVER)": handover, **ours})

    def _do_originate(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        self._reply(writer, packet, "Success", Message="Originate successfully queued")
        if "@hotline-third" in packet["Channel"]:
            channel = next(one for one in self.channels.values() if one.account)
            desk = packet["Channel"].partition("/")[2].partition("@")[0]
            self.offered(channel, desk, by="8001", kind="three-way")

    def _do_confbridgelistrooms(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        self._reply(writer, packet, "Error", Message="No active conferences.")

    def _do_dbget(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        value = self.astdb.get((packet["Family"], packet["Key"]))
        if value is None:
            self._reply(writer, packet, "Error", Message="Database entry not found")
            return
        ids = {"ActionID": packet["ActionID"]}
        self._reply(writer, packet, "Success", EventList="start")
        writer.write(_render({"Event": "DBGetResponse", "Val": value, **ids}))
        writer.write(_render({"Event": "DBGetComplete", "EventList": "Complete", **ids}))

    def _do_dbgettree(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        ids = {"ActionID": packet["ActionID"]}
        self._reply(writer, packet, "Success", EventList="start")
        for (family, key), value in self.astdb.items():
            if family == packet["Family"]:
                found = {"Key": f"/{family}/{key}", "Val": value}
                writer.write(_render({"Event": "DBGetTreeResponse", **found, **ids}))
        writer.write(_render({"Event": "DBGetTreeComplete", "EventList": "Complete", **ids}))

    def _do_dbput(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        self.astdb[packet["Family"], packet["Key"]] = packet["Val"]
        self._reply(writer, packet, "Success")

    def _do_dbdel(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        gone = self.astdb.pop((packet["Family"], packet["Key"]), None)
        self._reply(writer, packet, "Error" if gone is None else "Success")

    def _do_pjsipshowendpoints(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        if not self.endpoints:
            self._reply(writer, packet, "Error", Message="No endpoints found")
            return
        ids = {"ActionID": packet["ActionID"]}
        self._reply(writer, packet, "Success", EventList="start")
        for name, state in self.endpoints.items():
            found = {"Event": "EndpointList", "ObjectName": name, "DeviceState": state}
            writer.write(_render({**found, **ids}))
        writer.write(_render({"Event": "EndpointListComplete", "EventList": "Complete", **ids}))

    def _do_listcommands(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        self._reply(writer, packet, "Success", Ping="Keepalive command. (Priv: <none>)")

    def _do_showdialplan(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        self._reply(writer, packet, "Error", Message="Did not find any contexts")

    def _do_getconfig(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        self._reply(writer, packet, "Error", Message="Config file not found")

    def _do_queuestatus(self, packet: Packet, writer: asyncio.StreamWriter) -> None:
        ids = {"ActionID": packet["ActionID"], "Queue": "hotline"}
        member = {"Location": "PJSIP/8001", "Name": "8001", "Paused": "0", "InCall": "1"}
        caller = {"Channel": "PJSIP/trunk-1", "Uniqueid": "1.1", "Position": "1", "Wait": "7"}
        self._reply(writer, packet, "Success", EventList="start")
        writer.write(_render({"Event": "QueueParams", **ids}))
        writer.write(_render({"Event": "QueueMember", **ids, **member}))
        writer.write(_render({"Event": "QueueEntry", **ids, **caller}))
        writer.write(_render({"Event": "QueueStatusComplete", "EventList": "Complete", **ids}))

    # -- what happens on the telephone ----------------------------------------------------------

    def emit(self, event: str, headers: Packet) -> None:
        """Tell everybody who is signed in."""
        for writer in self._links:
            writer.write(_render({"Event": event, **headers}))

    def tell(self, event: str, channel: SimChannel, **headers: str) -> None:
        self.emit(event, {**channel.snapshot(), **headers})

    def new(
        self,
        name: str,
        *,
        context: str = "hotline-agents",
        exten: str = "s",
        state: str = "Down",
        caller: str = "",
        like: SimChannel | None = None,
    ) -> SimChannel:
        """A new channel; ``like`` is the one that calls it (linkedid and account)."""
        number = next(self._numbers)
        uniqueid = f"{1795496800 + number}.{number}"
        channel = SimChannel(
            uniqueid=uniqueid,
            name=f"{name}-{number:08x}",
            linkedid=like.linkedid if like else uniqueid,
            state=state,
            context=context,
            exten=exten,
            caller=caller,
        )
        self.channels[uniqueid] = channel
        self.tell("Newchannel", channel)
        if like is not None and like.account:
            self.account(channel, like.account)
        return channel

    def citizen(self, caller: str = "13900000001") -> SimChannel:
        """A citizen's call comes in and has its case."""
        channel = self.new(
            "PJSIP/trunk", context="hotline-trunk", exten="2800122", state="Ring", caller=caller
        )
        self.account(channel, f"20261124-{channel.uniqueid}")
        self.fact(channel, "HOTLINE_CASE", line="04212800122", number=caller)
        self.up(channel, "hotline-queue")
        return channel

    def talk(self, citizen: SimChannel, device: str = "PJSIP/8001") -> SimChannel:
        """An agent answers the citizen, who waited in the queue."""
        self.queue(citizen)
        agent = self.ring(citizen, device)
        self.up(agent)
        self.unqueue(citizen)
        self.fact(citizen, "HOTLINE_TAKEN", agent=device.partition("/")[2], leg=agent.uniqueid)
        self.enter_bridge(citizen, f"bridge-{citizen.uniqueid}")
        self.enter_bridge(agent, f"bridge-{citizen.uniqueid}")
        return agent

    def ring(self, caller: SimChannel, device: str) -> SimChannel:
        channel = self.new(device, like=caller)
        channel.state = "Ringing"
        self.tell("Newstate", channel)
        return channel

    def account(self, channel: SimChannel, account: str) -> None:
        channel.account = account
        self.tell("NewAccountCode", channel, OldAccountCode="")

    def up(self, channel: SimChannel, context: str = "") -> None:
        channel.state, channel.context = "Up", context or channel.context
        self.tell("Newstate", channel)

    def queue(self, channel: SimChannel) -> None:
        channel.application, channel.data = "Queue", "hotline,c"
        self.tell("QueueCallerJoin", channel, Queue="hotline", Position="1", Count="1")

    def unqueue(self, channel: SimChannel) -> None:
        channel.application = ""
        self.tell("QueueCallerLeave", channel, Queue="hotline", Position="1", Count="0")

    def enter_bridge(self, channel: SimChannel, bridge: str) -> None:
        channel.bridge = bridge
        self.tell("BridgeEnter", channel, BridgeUniqueid=bridge)

    def leave_bridge(self, channel: SimChannel) -> None:
        bridge, channel.bridge = channel.bridge, ""
        self.tell("BridgeLeave", channel, BridgeUniqueid=bridge)

    def hangup(self, *channels: SimChannel) -> None:
        for channel in channels:
            if channel.bridge:
                self.leave_bridge(channel)
            del self.channels[channel.uniqueid]
            self.emit("Hangup", {**channel.snapshot(), "Cause": "16"})

    def offered(self, citizen: SimChannel, desk: str, *, by: str, kind: str) -> str:
        handover = f"{citizen.account}-h1"
        self.fact(
            citizen,
            "HOTLINE_OFFERED",
            id=handover,
            desk=desk,
            by=by,
            kind=kind,
            caller=citizen.uniqueid,
        )
        return handover

    def fact(self, channel: SimChannel, fact: str, /, **facts: str) -> None:
        text = urlencode({"case": channel.account, **facts})
        self.tell("UserEvent", channel, UserEvent="Hotline", Kind=fact, Facts=text)

    def _named(self, name: str) -> SimChannel | None:
        return next((one for one in self.channels.values() if one.name == name), None)


def _read(raw: bytes) -> Packet:
    pairs = (line.partition(":") for line in raw.decode().strip().split("\r\n"))
    return {name: value.lstrip(" ") for name, _, value in pairs}


def _render(packet: Packet, more: list[str] | None = None) -> bytes:
    lines = [f"{name}: {value}" for name, value in packet.items()] + (more or [])
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
