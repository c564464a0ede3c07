"""A softphone in a terminal: what each key does, and the state of the phone in words.

Works the same from single keys in a terminal and from lines on standard input.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from telephony.errors import HotlineError
from telephony.settings import Key
from telephony.sip.audio import SoundDevice
from telephony.softphone import CallState, SoftCall, Softphone

_HELP = (
    "a/Enter 接听 answer · d 拒接 decline · h 挂断 hang up · {dial} · {refer} · "
    "m 静音 mute · o 保持 hold · k 拨号盘 keypad · s 状态 state · ? 帮助 help · q 退出 quit"
)
LINE_HELP = _HELP.format(dial="dial NUMBER 拨打", refer="refer NUMBER 话机转接 · keys DIGITS 按键")
KEY_HELP = _HELP.format(dial="c 拨打 dial", refer="t 话机转接 refer")
_ACTIONS = {
    "transfer": "转接 transfer to",
    "three-way": "三方 three-way with",
    "consult": "先问 consult",
}
_WORDS = {
    "a": "answer",
    "": "answer",
    "d": "decline",
    "h": "hangup",
    "m": "mute",
    "o": "hold",
    "k": "keypad",
    "s": "state",
    "?": "help",
    "q": "quit",
    "c": "dial",
    "t": "refer",
}


class TerminalPhone:
    """One phone and the commands of the person at it; ``say`` shows a line to them."""

    def __init__(
        self,
        phone: Softphone,
        keys: list[Key],
        say: Callable[[str], None],
        *,
        device: SoundDevice | None = None,
        tone_hz: float = 440.0,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.phone = phone
        self.say = say
        self.device = device
        self.tone_hz = tone_hz
        self.names = names or {}
        self.help = LINE_HELP
        self.one_keys = _one_keys(keys)
        self.keypad = False
        self.muted = False
        self._running = True
        self._commands: dict[str, Callable[[str], None]] = {
            "answer": self._answer,
            "decline": self._decline,
            "hangup": self._hang_up,
            "mute": self._mute,
            "hold": self._hold,
            "keypad": self._keypad,
            "dial": self._dial,
            "keys": self._press,
            "refer": self._refer,
            "state": lambda _: self.say(self.describe()),
            "help": lambda _: self._help(),
        }

    # -- what is shown ---------------------------------------------------------------------

    @property
    def call(self) -> SoftCall | None:
        """The call that keys act on: the one talked in, else one that rings, else one dialled."""
        calls = sorted(self.phone.calls, key=lambda call: call.held)
        for state in (CallState.ANSWERED, CallState.RINGING, CallState.DIALING):
            for call in calls:
                if call.state is state:
                    return call
        return None

    def describe(self) -> str:
        """The state of the phone in words."""
        call = self.call
        if not self.phone.registered:
            return "未注册 not registered: the PBX does not answer, trying again"
        if call is None:
            last = self.phone.last_ended
            after = f" · 上次通话 last call {_ending(last)}" if last is not None else ""
            return f"空闲 ready{after}"
        who = call.remote_number + (f" {call.remote_name}" if call.remote_name else "")
        if call.state is CallState.RINGING:
            return f"来电 incoming: {who}"
        if call.state is CallState.DIALING:
            ringing = "对方振铃 ringing at" if call.remote_rings else "呼叫中 calling"
            return f"{ringing}: {who}"
        notes = [
            text
            for on, text in (
                (call.on_hold, " · 被保持 on hold by the other side"),
                (call.held, " · 保持 on hold"),
                (self.muted, " · 静音 muted"),
                (self.keypad, " · 拨号盘 keypad"),
            )
            if on
        ]
        notes += [
            f" · 另有来电 also calling: {other.remote_number}"
            for other in self.phone.calls
            if other.state is CallState.RINGING
        ]
        return f"通话中 talking: {who}{''.join(notes)}"

    @property
    def talk_s(self) -> int | None:
        """Seconds talked so far."""
        call = self.call
        if call is None or call.answered_at is None:
            return None
        return int(time.monotonic() - call.answered_at)

    @property
    def rings(self) -> bool:
        """Somebody is calling and waits for an answer."""
        return any(call.state is CallState.RINGING for call in self.phone.calls)

    @property
    def sound(self) -> str:
        """How loud the other side is, as a bar."""
        call = self.call
        if call is None or call.state is not CallState.ANSWERED:
            return ""
        bars = round((call.level_db() + 60) / 6)
        return "听到 hearing " + ("▮" * bars if bars > 0 else "– 无声 silence")

    def key_help(self) -> str:
        """What the one-key functions do."""
        return " · ".join(
            f"{digit} {_ACTIONS[key.action]} {self.names.get(key.desk, key.desk)}"
            for digit, key in self.one_keys.items()
        )

    def follow(self) -> None:
        """Say every change of state until :meth:`stop`; connects sound to the answered call."""
        shown = ""
        while self._running:
            with self.phone.changed:
                self._connect_sound()
                text = self.describe()
                if text == shown:
                    self.phone.changed.wait()
                    continue
            shown = text
            self.say(text)

    def stop(self) -> None:
        """End :meth:`follow`."""
        self._running = False
        with self.phone.changed:
            self.phone.changed.notify_all()

    def _connect_sound(self) -> None:
        call = self.call
        talking = call if call is not None and call.state is CallState.ANSWERED else None
        if self.device is not None:
            self.device.connect(talking)
        elif talking is not None:
            talking.play_tone(self.tone_hz)
        if talking is None:
            self.muted = self.keypad = False

    # -- what is done ----------------------------------------------------------------------

    def command(self, line: str) -> bool:
        """Do what a key or a line says; False when it was to quit."""
        word, _, rest = line.strip().partition(" ")
        if self.keypad and word and not set(word) - set("0123456789*#"):
            self._guarded(self._press, word)
            return True
        name = _WORDS.get(word.lower(), word.lower())
        if name == "quit":
            return False
        if word in self.one_keys:
            self._guarded(self._one_key, word)
        elif name in self._commands:
            self._guarded(self._commands[name], rest.strip())
        else:
            self.say(f"不认识 not known: {word} · ? 帮助 help")
        return True

    def _guarded(self, action: Callable[[str], None], argument: str) -> None:
        try:
            action(argument)
        except HotlineError as error:
            self.say(f"不行 not possible: {error.detail}")
        except TimeoutError as error:
            self.say(f"超时 no answer: {error}")

    def _need(self, *states: CallState) -> SoftCall | None:
        call = self.call
        if call is not None and call.state in states:
            return call
        self.say("没有这样的通话 there is no such call · ? 帮助 help")
        return None

    def _answer(self, _: str) -> None:
        ringing = [call for call in self.phone.calls if call.state is CallState.RINGING]
        if ringing:
            for talking in self.phone.calls:
                if talking.state is CallState.ANSWERED and not talking.held:
                    talking.hold()
            ringing[0].answer()
        else:
            self.say("没有来电 nobody is calling")

    def _decline(self, _: str) -> None:
        ringing = [call for call in self.phone.calls if call.state is CallState.RINGING]
        if ringing:
            ringing[0].deny(603)
        else:
            self.say("没有来电 nobody is calling")

    def _hang_up(self, _: str) -> None:
        call = self._need(CallState.ANSWERED, CallState.DIALING, CallState.RINGING)
        if call is not None:
            call.hangup()

    def _mute(self, _: str) -> None:
        call = self._need(CallState.ANSWERED)
        if call is not None:
            self.muted = not self.muted
            call.mute(self.muted)
            self._changed()

    def _hold(self, _: str) -> None:
        call = self._need(CallState.ANSWERED)
        if call is not None:
            call.hold(not call.held)
            self._changed()

    def _keypad(self, _: str) -> None:
        if self._need(CallState.ANSWERED) is not None:
            self.keypad = not self.keypad
            self._changed()

    def _changed(self) -> None:
        with self.phone.changed:
            self.phone.changed.notify_all()

    def _dial(self, number: str) -> None:
        if not number:
            self.say("请输入号码 say which number: dial NUMBER")
        elif self.call is not None:
            self.say("正在通话 there is a call already; h 挂断 hang up first")
        else:
            self.phone.call(number)

    def _press(self, digits: str) -> None:
        call = self._need(CallState.ANSWERED)
        if call is not None:
            call.send_dtmf(digits.replace(" ", ""))
            self.say(f"已按 pressed: {digits}")

    def _one_key(self, digit: str) -> None:
        call = self._need(CallState.ANSWERED)
        if call is not None:
            key = self.one_keys[digit]
            desk = self.names.get(key.desk, key.desk)
            self.say(f"{_ACTIONS[key.action]} {desk} ({key.code}) ...")
            call.send_dtmf(key.code)

    def _refer(self, number: str) -> None:
        call = self._need(CallState.ANSWERED)
        if call is not None and number:
            status = call.refer(number)
            done = "已转接 handed over" if status < 300 else "未转接 refused"
            self.say(f"{done}: {number} ({status})")

    def _help(self) -> None:
        self.say(self.help)
        if self.one_keys:
            self.say(self.key_help())


def _one_keys(keys: list[Key]) -> dict[str, Key]:
    """The keys whose code is one digit after its prefix can be had by that digit alone."""
    found: dict[str, Key] = {}
    for key in keys:
        if len(key.code) == 2 and key.code[1].isdigit():
            found.setdefault(key.code[1], key)
    return found


def _ending(call: SoftCall) -> str:
    if call.end_code == 200:
        return f"{call.remote_number} 已结束 ended"
    return f"{call.remote_number} 未接通 not connected ({call.end_code} {call.end_reason})"
