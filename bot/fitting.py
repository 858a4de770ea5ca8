"""Fit what is said to what a channel can show: choices become numbers, long texts become parts."""

from collections.abc import Sequence

from channels.channel import Button, Features

Part = tuple[str, tuple[Button, ...]]


def fit(text: str, buttons: Sequence[Button], features: Features) -> list[Part]:
    """The messages that carry this text on such a channel, in order; buttons stand under the last one.

    One that asks for the phone is no choice: it has no number, and is left out where no phone can be asked for.
    """
    shown = tuple(button for button in buttons if button.asks is None or features.proves_phone)
    if len(shown) > features.buttons:
        choices = [button for button in shown if button.asks is None]
        numbered = "\n".join(f"{number}. {button.label}" for number, button in enumerate(choices, start=1))
        text, shown = f"{text}\n\n{numbered}", ()
    parts = _split(text, features.text_limit)
    return [(part, ()) for part in parts[:-1]] + [(parts[-1], shown)]


def _split(text: str, limit: int) -> list[str]:
    """Cut at the end of a paragraph, else of a line, else of a word: at the first of them that fills half a message."""
    parts = []
    while len(text) > limit:
        ends = [text.rfind(mark, 1, limit) for mark in ("\n\n", "\n", " ")]
        cut = next((at for at in ends if at > limit // 2), max(ends))
        cut = cut if cut > 0 else limit
        parts.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return [*parts, text]


def pressed_of(text: str, offered: Sequence[Button]) -> str | None:
    """The payload of the offered choice that somebody typed: its number or its very words."""
    plain = text.strip().rstrip(".)").casefold()
    if plain.isdecimal() and len(plain) <= 2 and 1 <= int(plain) <= len(offered):
        return offered[int(plain) - 1].payload
    return next((button.payload for button in offered if button.label.casefold() == plain), None)
