"""How is my case: with least disclosure, and without losing the question that was open."""

from bot.dialogue import numbers
from bot.dialogue.effects import AskStatus, Word
from bot.dialogue.events import CaseFound, Said
from bot.dialogue.gathering import ask_again
from bot.dialogue.reply import Reply


def code_in(said: Said) -> str | None:
    """The case code of the message, as the caller or we found it."""
    return said.code or numbers.case_code(said.text, status=said.act == "status")


def seek(reply: Reply, code: str | None) -> None:
    """Ask for the state of this case, or of their own."""
    reply.remember(sought=code is not None)
    reply.do(AskStatus(code))


def found(reply: Reply, event: CaseFound) -> None:
    """Whoever has the code may know the state; dates and more are for the person whose case it is."""
    status = {"status": Word(f"status_{event.status}")}
    if event.own:
        reply.say("status_own", blanks=status, dated=True)
    else:
        reply.say("status_public", blanks=status)
    ask_again(reply)


def not_found(reply: Reply) -> None:
    """No such case: how a code looks, or that we know of none."""
    reply.say("status_unknown" if reply.talk.sought else "status_none")
    ask_again(reply)


def limited(reply: Reply) -> None:
    """Too many look-ups."""
    reply.say("status_limited")
