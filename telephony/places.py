"""Where a telephone number is from, in words: area codes, and the first digits of mobile numbers.

A hint only: people move and keep their number.
"""

from __future__ import annotations

from functools import lru_cache

import phonenumbers

from telephony.numbers import to_e164


@lru_cache(maxsize=4096)
def place_of(number: str, language: str, area_code: str = "0421") -> str | None:
    """The place of a number in ``zh`` or ``en``; None where nothing is known.

    The first call loads the tables, which takes a good part of a second: not on the event loop.

    >>> place_of("04212800122", "zh")
    '辽宁省朝阳市'
    """
    # Imported when it is needed: nobody else pays for its tables.
    from phonenumbers import geocoder

    whole = to_e164(number, area_code)
    if whole is None:
        return None
    return geocoder.description_for_number(phonenumbers.parse(whole), language) or None
