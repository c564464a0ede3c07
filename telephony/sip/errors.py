"""What can go wrong on a phone, each as a sentence for the person holding it."""

from __future__ import annotations

from telephony.errors import HotlineError


class SoftphoneError(HotlineError):
    """The phone cannot do what was asked; ``detail`` says why and what to do."""

    code = "phone-failed"
    title = "The phone failed"


class RegistrationFailed(SoftphoneError):
    """The PBX does not know this phone, or not this password."""

    code = "phone-registration-refused"
    title = "The PBX refused the phone"


class NoAnswerFromPbx(SoftphoneError):
    """Nothing answers at the address of the PBX."""

    code = "phone-no-answer"
    title = "The PBX does not answer the phone"


class CallStateError(SoftphoneError):
    """The call is not in a state in which this can be done, for example already over."""

    code = "phone-wrong-call-state"
    status = 409
    title = "Not possible in this state of the call"
