"""Two cases of one person go on as one, or apart again: the customer hears of it once."""

from bot.dialogue.events import CasesMerged, CasesParted
from bot.dialogue.reply import Reply


def merged(reply: Reply, event: CasesMerged) -> None:
    """Both codes go on working. What the other case has told already is not asked any more."""
    case = reply.the_case
    # an "ok" that follows is for the news
    reply.remember(pending=tuple(one for one in reply.talk.pending if one != "channel" and not case.facts.get(one)))
    reply.say("merged", blanks={"other": event.other}, dated=True, notice=True)


def parted(reply: Reply, event: CasesParted) -> None:
    """The agent undid it."""
    reply.remember(pending=tuple(one for one in reply.talk.pending if one != "channel"))
    reply.say("parted", blanks={"other": event.other}, notice=True)
