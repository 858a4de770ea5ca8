"""Ways to write one telephone: countries changed their mobile numbers, and WhatsApp kept the old ones for some."""

import re

_BRAZIL = re.compile(r"\+55(?P<area>[1-9]\d)(?P<nine>9?)(?P<rest>[6-9]\d{7})")
_ARGENTINA = re.compile(r"\+54(?P<nine>9?)(?P<rest>\d{10})")
_MEXICO = re.compile(r"\+52(?P<one>1?)(?P<rest>\d{10})")


def variants(number: str) -> tuple[str, ...]:
    """Other ways to write the same mobile: Brazil's and Argentina's 9, Mexico's 1. Empty for all else, and opaque ids.

    In Brazil a mobile of eight digits got a 9 before it; a landline (2-5) never did.
    """
    if found := _BRAZIL.fullmatch(number):
        return (f"+55{found['area']}{'' if found['nine'] else '9'}{found['rest']}",)
    if found := _ARGENTINA.fullmatch(number):
        return (f"+54{'' if found['nine'] else '9'}{found['rest']}",)
    if found := _MEXICO.fullmatch(number):
        return (f"+52{'' if found['one'] else '1'}{found['rest']}",)
    return ()
