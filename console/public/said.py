"""What a visitor's form holds, and keeping it."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile

from bot.chat import Chat, Malformed, TooFast

FILES = 10  # in one message
_BETWEEN = "\t"  # in a choice: its payload, then its label


@dataclass(frozen=True)
class Said:
    """One message of a visitor."""

    client_id: str
    text: str
    pressed: str | None
    files: Sequence[tuple[str, bytes]]


class Refused(Exception):
    """It was not kept; `problem` names the words that say why, `status` is for HTTP."""

    def __init__(self, problem: str, status: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.status = status


async def read(form: FormData) -> Said:
    """A form's fields: text, files, and a choice (`payload TAB label`), whose label is what the visitor said."""
    pressed, _, label = _field(form, "choice").partition(_BETWEEN)
    files = [
        (one.filename, await one.read())
        for one in form.getlist("files")
        if isinstance(one, UploadFile) and one.filename
    ]
    return Said(_field(form, "client_id"), label or _field(form, "text"), pressed or None, files)


async def keep(chat: Chat, said: Said, language: str, limit: int) -> None:
    """Hand it to the chat; `limit`: bytes of all files together. Raises Refused."""
    if len(said.files) > FILES:
        raise Refused("files_count", 400)
    if sum(len(content) for _, content in said.files) > limit:
        raise Refused("files_limit", 413)
    try:
        await chat.say(said.client_id, said.text, pressed=said.pressed, files=said.files, language=language)
    except Malformed:
        raise Refused("malformed", 400) from None
    except TooFast:
        raise Refused("too_fast", 429) from None


def _field(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""
