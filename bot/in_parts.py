"""What the parts of one message (files, then the words) make of the whole."""

from collections.abc import Collection

MOST = 50  # parts of one message: ten files and a long text are fewer


def part_mark(number: int, *, last: bool) -> str:
    """How the record of a message names one of its parts."""
    return f"part {number}, the last" if last else f"part {number}"


def arrived(said: Collection[tuple[str, str | None]]) -> str | None:
    """What the parts of one attempt make of the whole: delivered when all are, read when all are; None before.

    `said`: states and marks, in any order and any number of times. How many parts there are is told with the last.
    """
    known = {mark: {state for state, one in said if one == mark} for mark in {one for _, one in said}}
    number = next((one for one in range(2, MOST + 1) if part_mark(one, last=True) in known), None)
    if number is None:
        return None
    parts = [known.get(part_mark(one, last=one == number), set()) for one in range(1, number + 1)]
    if all("read" in one for one in parts):
        return "read"
    return "delivered" if all(one & {"delivered", "read"} for one in parts) else None
