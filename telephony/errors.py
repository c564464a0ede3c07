"""Errors of the service: each has a stable ``code`` that callers may depend on.

The HTTP status belongs to the error because the meaning does ("no such call", "the PBX is away");
``api/errors.py`` turns every one of them into RFC 9457 problem details.
"""

from __future__ import annotations

from typing import ClassVar


class HotlineError(Exception):
    """Base of all errors that a user of this service may see.

    ``detail`` is a sentence for people: what is wrong and what to do about it.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "The service failed"

    def __init__(self, detail: str, **extra: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class SettingsError(HotlineError):
    """Wrong settings; ``lines`` holds one sentence for each wrong setting."""

    code = "settings-invalid"
    title = "A setting is wrong"

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class SettingsFileBroken(SettingsError):
    """The file of settings is no TOML, or cannot be read: none of them is known."""

    code = "settings-file-broken"
    title = "The file of settings cannot be read"

    def __init__(self, file: object, error: Exception) -> None:
        why = error.strerror if isinstance(error, OSError) else f"it is no TOML: {error}"
        super().__init__([f"{file} cannot be read: {why}"])


class InvalidValue(HotlineError):
    """A value that must not travel to the PBX, such as one with a line break in it."""

    code = "value-invalid"
    status = 422
    title = "A value is not allowed"


class NotFound(HotlineError):
    """What was named does not exist (any more)."""

    code = "not-found"
    status = 404
    title = "Not found"


class CallNotFound(NotFound):
    """No call with this id is in progress on the PBX."""

    code = "call-not-found"
    title = "No such call"


class PbxNotFound(NotFound):
    """No PBX with this name is in the settings."""

    code = "pbx-not-found"
    title = "No such PBX"


class DeskNotFound(NotFound):
    """No desk with this id is in the settings."""

    code = "desk-not-found"
    title = "No such desk"


class LineNotFound(NotFound):
    """No line with this id, name or number is in the settings."""

    code = "line-not-found"
    title = "No such line"


class NumberNotAllowed(HotlineError):
    """An outside number that is not on the list of those that calls may be handed to."""

    code = "number-not-allowed"
    status = 403
    title = "Calls may not be handed to this number"


class AgentNotFound(NotFound):
    """No agent (or whoever's phone is to ring) with this id is in the settings."""

    code = "agent-not-found"
    title = "No such agent"


class LegNotFound(NotFound):
    """No call leg with this id is on record."""

    code = "leg-not-found"
    title = "No such leg"


class CaseNotFound(NotFound):
    """No case with this number is on record."""

    code = "case-not-found"
    title = "No such case"


class ConferenceNotFound(NotFound):
    """No three-way call with this id is going on."""

    code = "conference-not-found"
    title = "No such three-way call"


class PartyNotFound(NotFound):
    """No channel with this name or uniqueid is on the PBX."""

    code = "party-not-found"
    title = "No such party"


class WrongState(HotlineError):
    """The call is not in a state in which this can be done."""

    code = "wrong-state"
    status = 409
    title = "Not possible in this state"


class HandoverNotFound(NotFound):
    """No hand-over with this id runs, or is on record, as was asked."""

    code = "handover-not-found"
    title = "No such hand-over"


class HandoverRunning(WrongState):
    """Another hand-over of the same call is under way; ``extra['handover']`` names it."""

    code = "handover-running"
    title = "A hand-over of this call is already running"


class NotInRoom(WrongState):
    """The party is on the line, but not in this three-way call."""

    code = "not-in-room"
    title = "Not in this three-way call"


class RoomFull(WrongState):
    """As many parties as the settings allow are in the three-way call (or being called)."""

    code = "room-full"
    title = "The three-way call is full"


class RoomLocked(WrongState):
    """The three-way call is locked: nobody else is let in."""

    code = "room-locked"
    title = "The three-way call is locked"


class AgentSignedIn(WrongState):
    """The agent is signed in already."""

    code = "agent-already-signed-in"
    title = "The agent is signed in already"


class AgentSignedOut(WrongState):
    """The agent is not signed in."""

    code = "agent-not-signed-in"
    title = "The agent is not signed in"


class AgentPaused(WrongState):
    """The agent rests already, for the same reason."""

    code = "agent-already-paused"
    title = "The agent is paused already"


class AgentNotPaused(WrongState):
    """The agent neither rests nor has time after a call."""

    code = "agent-not-paused"
    title = "The agent is not paused"


class AgentBusy(WrongState):
    """The agent's phone rings or is in a call."""

    code = "agent-busy"
    title = "The agent is in a call"


class PauseReasonNotFound(NotFound):
    """No pause reason has this code in the settings."""

    code = "pause-reason-not-found"
    title = "No such reason"


class CallbacksOff(WrongState):
    """The settings name no way to call a citizen back."""

    code = "callbacks-off"
    title = "Calling back is not set up"


class SpecialDayNotFound(NotFound):
    """No special day was entered for this date."""

    code = "special-day-not-found"
    title = "No such special day"


class CalendarFileRefused(InvalidValue):
    """A calendar file with mistakes, of which nothing was taken.

    ``lines`` says what and where; ``broken`` the same as numbers of lines (None: the whole file)
    and reasons, all of them.
    """

    code = "calendar-file-refused"
    title = "The calendar file is wrong"

    def __init__(self, lines: list[str], broken: list[tuple[int, str]] | None = None) -> None:
        super().__init__("nothing was taken: " + "; ".join(lines))
        self.lines = lines
        self.broken: list[tuple[int | None, str]] = [*broken] if broken else []
        if not broken:
            self.broken = [(None, one) for one in lines]


class CalendarNotPushed(HotlineError):
    """The PBX did not keep the hours that it was given."""

    code = "calendar-not-pushed"
    status = 502
    title = "The PBX did not keep the hours"


class CallbackNotFound(NotFound):
    """No callback with this id was begun by this process, or it was long ago."""

    code = "callback-not-found"
    title = "No such callback"


class PbxUnavailable(HotlineError):
    """There is no link to the PBX at this moment; calls go on without us."""

    code = "pbx-unavailable"
    status = 503
    title = "The PBX cannot be reached"


class PbxTimeout(PbxUnavailable):
    """The PBX did not answer an action in time; whether it was carried out is not known."""

    code = "pbx-timeout"
    title = "The PBX did not answer in time"


class PbxRefused(HotlineError):
    """The PBX answered an action with an error."""

    code = "pbx-refused"
    status = 502
    title = "The PBX refused"


class DatabaseUnavailable(HotlineError):
    """The database cannot be reached; rows wait on disk meanwhile."""

    code = "database-unavailable"
    status = 503
    title = "The database cannot be reached"


class NotSignedIn(HotlineError):
    """No token, or one that is not known."""

    code = "not-signed-in"
    status = 401
    title = "A token is needed"


class NotAllowed(HotlineError):
    """The token's role does not include this."""

    code = "not-allowed"
    status = 403
    title = "Not allowed for this role"


class TooManySearches(HotlineError):
    """Somebody who sees numbers masked searches by one number after the other.

    ``extra['wait_s']`` says after how many seconds they may again.
    """

    code = "searches-limited"
    status = 429
    title = "Too many searches by a number"


class SetupError(HotlineError):
    """Something the machine needs is missing and could not be installed."""

    code = "setup-failed"
    title = "Set-up failed"
