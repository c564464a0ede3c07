"""What we ask of a PBX, in Asterisk's own words: redirect, originate, hang up, channels now.

Thin on purpose: each method is one AMI action (or a list of it), typed. Rules about calls live in
``live_calls.py``, ``transfer.py`` and ``conference.py``. Every method raises
:class:`~telephony.errors.PbxUnavailable` at once when there is no link,
:class:`~telephony.errors.PbxTimeout` when no answer comes, :class:`~telephony.errors.PbxRefused`
when Asterisk answers with an error and :class:`~telephony.errors.InvalidValue` before anything is
sent when a value cannot travel over AMI.

Actions: https://docs.asterisk.org/Asterisk_22_Documentation/API_Documentation/AMI_Actions/
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from telephony.errors import InvalidValue, PbxRefused

if TYPE_CHECKING:
    from telephony.ami_client import AmiClient, Event, Response
    from telephony.settings import Settings

Headers = Mapping[str, str | int | Sequence[str]]

UNKNOWN = "<unknown>"
"""What Asterisk writes where it knows no number or name."""
UNSET = "(null)"
"""What ``Status`` writes for a variable that the channel does not have."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One AMI action that has not been sent yet, for :meth:`Pbx.together`."""

    action: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class ChannelNow:
    """A channel as ``Status`` reports it."""

    uniqueid: str
    name: str
    linkedid: str
    state: str
    context: str
    exten: str
    account: str
    caller: str
    caller_name: str
    connected: str
    connected_name: str
    bridge: str
    application: str
    data: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueMember:
    """An agent's device in a queue; ``paused`` members are not rung.

    ``status`` is Asterisk's number for the device's state, ``last_pause`` when it was paused last
    (seconds since 1970, 0 for never).
    """

    queue: str
    interface: str
    name: str
    paused: bool
    in_call: bool
    calls_taken: int
    status: int = 0
    reason: str = ""
    last_pause: int = 0


@dataclass(frozen=True, slots=True)
class QueueCaller:
    """A caller who waits in a queue, at ``position`` (1 is next), since ``wait_s`` seconds."""

    queue: str
    channel: str
    uniqueid: str
    position: int
    wait_s: int
    caller: str = ""


@dataclass(frozen=True, slots=True)
class QueueNow:
    """A queue's members and waiting callers."""

    members: tuple[QueueMember, ...]
    callers: tuple[QueueCaller, ...]


def known(value: str) -> str:
    """A number or name, or "" where Asterisk knows none."""
    return "" if value == UNKNOWN else value


def ask_redirect(
    channel: str,
    context: str,
    exten: str,
    priority: int | str = 1,
    *,
    extra: tuple[str, str, str, int | str] | None = None,
) -> Ask:
    """Send a channel to another place in the dialplan.

    ``extra`` is a second channel with its context, extension and priority, moved in the same step
    (the other party of a two-party bridge, which would else be hung up). Asterisk answers Success
    even when the extension does not exist, and the caller is lost then: ask
    :meth:`Pbx.extension_exists` first.
    """
    headers: dict[str, str | int | Sequence[str]] = {
        "Channel": channel,
        "Context": context,
        "Exten": exten,
        "Priority": priority,
    }
    if extra is not None:
        names = ("ExtraChannel", "ExtraContext", "ExtraExten", "ExtraPriority")
        headers.update(zip(names, extra, strict=True))
    return Ask("Redirect", headers)


def ask_set_var(channel: str, name: str, value: str) -> Ask:
    """Set a variable or a writable function such as ``SHARED(X,chan)`` on a channel."""
    return Ask("Setvar", {"Channel": channel, "Variable": name, "Value": value})


def ask_hangup(channel: str, cause: int = 16) -> Ask:
    """Hang a channel up with a Q.850 cause (16: normal clearing)."""
    return Ask("Hangup", {"Channel": channel, "Cause": cause})


VARIABLE_NAME = re.compile(r"_{0,2}[A-Z][A-Z0-9_]*")


def ask_originate(
    dial: str,
    context: str,
    exten: str,
    priority: int | str = 1,
    *,
    caller_id: str = "",
    account: str = "",
    variables: Mapping[str, str] | None = None,
    ring_s: float = 30,
    channel_id: str = "",
) -> Ask:
    """Call a device; when it answers it goes to this place in the dialplan.

    Asterisk answers as soon as it has taken the order (``Async``): whether the device answers is
    told by events. ``caller_id`` is what its display shows; without it the phone would show
    nothing useful. ``account`` is the case id (an originated leg has a linkedid of its own, so
    the account ties it to its case). ``ring_s`` is how long it rings, in seconds. Raises
    :class:`InvalidValue` for a variable that Asterisk would take for more than one.
    """
    headers: dict[str, str | int | Sequence[str]] = {
        "Channel": dial,
        "Context": context,
        "Exten": exten,
        "Priority": priority,
        "Timeout": round(ring_s * 1000),
        "Async": "true",
    }
    optional = {"CallerID": caller_id, "Account": account, "ChannelId": channel_id}
    headers.update({name: value for name, value in optional.items() if value})
    for name, value in (variables or {}).items():
        # Asterisk splits this header at commas, and a name with parentheses runs a function.
        if not VARIABLE_NAME.fullmatch(name) or set(value) & set(',"\\'):
            raise InvalidValue(f"variable {name!r} cannot be given to a new call")
    if variables:
        headers["Variable"] = [f"{name}={value}" for name, value in variables.items()]
    return Ask("Originate", headers)


class Pbx:
    """One PBX, asked over its AMI link."""

    def __init__(self, client: AmiClient, settings: Settings) -> None:
        self._client = client
        self.name = settings.pbx.name

    @property
    def client(self) -> AmiClient:
        """The link, for whoever listens to events."""
        return self._client

    @property
    def up(self) -> bool:
        """Whether the link stands and we are logged in."""
        return self._client.up

    async def ask(self, ask: Ask) -> Response:
        """Send one action and wait for its answer."""
        return await self._client.action(ask.action, ask.headers)

    async def together(self, *asks: Ask) -> list[Response]:
        """Send several actions in one go on one connection; Asterisk runs them in this order.

        All values are checked before the first action leaves. Waits for every answer, then raises
        the first error, if any: what stood before and after it has been carried out all the same.
        """
        for ask in asks:
            check_headers(ask.headers)
        with self._client.in_one_write():
            futures = [self._client.submit(ask.action, ask.headers) for ask in asks]
        answers = await asyncio.gather(*futures, return_exceptions=True)
        responses: list[Response] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            responses.append(answer)
        return responses

    # -- channels -------------------------------------------------------------------------------

    async def channels(self, variables: Iterable[str] = ()) -> list[ChannelNow]:
        """All channels now, with their bridges and the named channel variables (``Status``)."""
        headers: dict[str, str | int | Sequence[str]] = {"AllVariables": "false"}
        names = ",".join(variables)
        if names:
            headers["Variables"] = names
        events = await self._client.list_action("Status", headers)
        return [_channel(event) for event in events if event.name == "Status"]

    async def redirect(
        self,
        channel: str,
        context: str,
        exten: str,
        priority: int | str = 1,
        *,
        extra: tuple[str, str, str, int | str] | None = None,
    ) -> None:
        """Send a channel to another place in the dialplan; see :func:`ask_redirect`."""
        await self.ask(ask_redirect(channel, context, exten, priority, extra=extra))

    async def hangup(self, channel: str, cause: int = 16) -> None:
        """Hang a channel up."""
        await self.ask(ask_hangup(channel, cause))

    async def talk(self, channel: str) -> None:
        """Tell the phone of a ringing channel to answer (NOTIFY with ``Event: talk``).

        Many desk phones do, and say nothing when they do not.
        Source: https://docs.asterisk.org/Asterisk_22_Documentation/API_Documentation/AMI_Actions/PJSIPNotify/
        """
        await self.ask(Ask("PJSIPNotify", {"Channel": channel, "Variable": "Event=talk"}))

    async def get_var(self, channel: str | None, name: str) -> str:
        """A channel's variable or function, or a global one; "" when it is not set."""
        headers = {"Variable": name} if channel is None else {"Channel": channel, "Variable": name}
        return (await self._client.action("Getvar", headers)).get("Value")

    async def set_var(self, channel: str, name: str, value: str) -> None:
        """Set a variable or a writable function on a channel."""
        await self.ask(ask_set_var(channel, name, value))

    async def extension_exists(self, context: str, exten: str) -> bool:
        """Whether a call sent to this extension would find a first step in the dialplan."""
        return await self.get_var(None, f"DIALPLAN_EXISTS({context},{exten},1)") == "1"

    # -- AstDB ----------------------------------------------------------------------------------

    async def db_get(self, family: str, key: str) -> str | None:
        """A value of the PBX's own database, or None."""
        try:
            events = await self._client.list_action("DBGet", {"Family": family, "Key": key})
        except PbxRefused:  # "Database entry not found" is the only refusal of a well-formed DBGet
            return None
        return next((e.get("Val") for e in events if e.name == "DBGetResponse"), None)

    async def db_put(self, family: str, key: str, value: str) -> None:
        """Store a value in the PBX's own database; it survives its restart."""
        await self._client.action("DBPut", {"Family": family, "Key": key, "Val": value})

    async def db_del(self, family: str, key: str) -> bool:
        """Delete a value; False when there was none."""
        try:
            await self._client.action("DBDel", {"Family": family, "Key": key})
        except PbxRefused:
            return False
        return True

    async def db_family(self, family: str) -> dict[str, str]:
        """All values of one family of the PBX's own database, by their keys."""
        try:
            events = await self._client.list_action("DBGetTree", {"Family": family})
        except PbxRefused:  # the only refusal: the family is empty
            return {}
        found = [event for event in events if event.name == "DBGetTreeResponse"]
        return {event.get("Key").rpartition("/")[2]: event.get("Val") for event in found}

    # -- queues ---------------------------------------------------------------------------------

    async def queue_add(self, queue: str, interface: str, name: str = "") -> None:
        """Sign an agent's device in; PbxRefused when it is signed in already."""
        headers = {"Queue": queue, "Interface": interface}
        await self._client.action("QueueAdd", headers | ({"MemberName": name} if name else {}))

    async def queue_remove(self, queue: str, interface: str) -> None:
        """Sign an agent's device out; PbxRefused when it was not signed in."""
        await self._client.action("QueueRemove", {"Queue": queue, "Interface": interface})

    async def queue_pause(
        self, queue: str, interface: str, *, paused: bool, reason: str = ""
    ) -> None:
        """Let an agent rest (or go on); a paused agent is not rung but stays signed in."""
        headers = {"Queue": queue, "Interface": interface, "Paused": "true" if paused else "false"}
        await self._client.action("QueuePause", headers | ({"Reason": reason} if reason else {}))

    async def queues(self, queue: str = "") -> QueueNow:
        """Members and waiting callers of one queue, or of all."""
        events = await self._client.list_action("QueueStatus", {"Queue": queue} if queue else None)
        return QueueNow(
            members=tuple(_member(event) for event in events if event.name == "QueueMember"),
            callers=tuple(_caller(event) for event in events if event.name == "QueueEntry"),
        )

    # -- rooms ----------------------------------------------------------------------------------

    async def room(self, room: str) -> list[str]:
        """Channel names in a conference room; empty when there is no such room."""
        try:
            events = await self._client.list_action("ConfbridgeList", {"Conference": room})
        except PbxRefused:  # Asterisk refuses to list a room in which nobody is
            return []
        return [event["Channel"] for event in events if event.name == "ConfbridgeList"]


def check_headers(headers: Headers) -> None:
    """Raise :class:`InvalidValue` for a line break or NUL: over AMI it would start a new action."""
    for name, value in headers.items():
        for part in [value] if isinstance(value, str | int) else value:
            if any(char in str(part) for char in "\r\n\0"):
                raise InvalidValue(f"{name} must be one line, without line breaks or NUL")


def _channel(event: Event) -> ChannelNow:
    variables = (line.partition("=") for line in event.getall("Variable"))
    return ChannelNow(
        uniqueid=event["Uniqueid"],
        name=event["Channel"],
        linkedid=event.get("Linkedid"),
        state=event.get("ChannelStateDesc"),
        context=event.get("Context"),
        exten=event.get("Exten"),
        account=event.get("AccountCode"),
        caller=known(event.get("CallerIDNum")),
        caller_name=known(event.get("CallerIDName")),
        connected=known(event.get("ConnectedLineNum")),
        connected_name=known(event.get("ConnectedLineName")),
        bridge=event.get("BridgeID"),
        application=event.get("Application"),
        data=event.get("Data"),
        variables={name: value for name, _, value in variables if value != UNSET},
    )


def _member(event: Event) -> QueueMember:
    return QueueMember(
        queue=event.get("Queue"),
        interface=event.get("Location") or event.get("Interface"),
        name=event.get("Name"),
        paused=event.get("Paused") == "1",
        in_call=event.get("InCall") == "1",
        calls_taken=_int(event.get("CallsTaken")),
        status=_int(event.get("Status")),
        reason=event.get("PausedReason"),
        last_pause=_int(event.get("LastPause")),
    )


def _caller(event: Event) -> QueueCaller:
    return QueueCaller(
        queue=event.get("Queue"),
        channel=event.get("Channel"),
        uniqueid=event.get("Uniqueid"),
        position=_int(event.get("Position")),
        wait_s=_int(event.get("Wait")),
        caller=known(event.get("CallerIDNum")),
    )


def _int(value: str) -> int:
    return int(value) if value.isdecimal() else 0
