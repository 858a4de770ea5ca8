"""News of a case that an agent's act caused: the dialogue finds the words, and they go where the customer reads."""

from collections.abc import Sequence
from dataclasses import replace

from bot.dialogue import events as ev
from bot.parts import Parts
from bot.reach import best_way, usable
from bot.talking import Talking, case_facts
from bot.views import Me
from storage.tables import Case, Conversation, Outgoing
from storage.transaction import Transaction


async def tell(
    parts: Parts,
    tx: Transaction,
    case: Case,
    line: Conversation,
    event: ev.Event,
    me: Me,
    *,
    was: str,
    here: Conversation | None = None,
) -> Sequence[Outgoing]:
    """Write it, once, at the best address; without one, the conversation is put on the agents' list.

    `line` is the (locked) conversation at home, `here` the one in which the agent acted, if another; `was` the state of
    the case before the act.
    """
    here = here or line
    way = await best_way(parts, tx, case, line)
    conversation = way.conversation if way else line
    if way is None and here.flagged_at is None:
        here.flagged_at, here.flag_reason = parts.now(), "unreachable"
    await tx.flush()
    talking = await Talking.begin(parts, tx, conversation, about=case.id, actor=f"agent:{me.id}")
    talking.state = replace(talking.state, case=replace(case_facts(case), status=was))
    await talking.feed(event)
    if not usable(parts, talking.contact, at_home=True):
        talking.said.clear()  # they blocked us or want nothing more: the people on the list call them
    return await talking.finish(author=f"notice:{me.id}", news=True)
