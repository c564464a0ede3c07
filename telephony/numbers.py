"""Telephone numbers: as dialled, and in E.164 where they have such a form (ITU-T E.164)."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers


@lru_cache(maxsize=65536)
def to_e164(number: str | None, area_code: str = "0421", country_code: str = "86") -> str | None:
    """The number in E.164 (``+864212800122``), or None for short codes and what is no number.

    A number without an area code belongs to the line's own area; ``00`` is read as ``+``.
    """
    if not number:
        return None
    region = phonenumbers.region_code_for_country_code(int(country_code))
    digits = "+" + number[2:] if number.startswith("00") else number
    for candidate in (digits, area_code + digits, "+" + digits):
        try:
            parsed = phonenumbers.parse(candidate, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
    return None
