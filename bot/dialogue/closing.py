"""A case is solved when the customer says so. Agents announce, nobody and no clock closes."""

from dataclasses import replace

from bot.dialogue import words
from bot.dialogue.answers import merged
from bot.dialogue.effects import Choice, ConfirmSolved, Flag, Reopen, StopTimer, Word
from bot.dialogue.events import Said, SilenceDay, SolutionAnnounced, StateChanged
from bot.dialogue.forms import FAILED
from bot.dialogue.reply import Reply

SOLVED = (Choice("button_solved_yes", "solved:yes"), Choice("button_solved_no", "solved:no"))


def changed(reply: Reply, event: StateChanged) -> None:
    """The case moved: one update, in words."""
    if reply.case is None or reply.case.status == event.to:
        return
    reply.state = replace(reply.state, case=replace(reply.case, status=event.to))
    reply.remember(pending=tuple(slot for slot in reply.talk.pending if slot != "channel"))  # an "ok" is for the news
    status = Word(f"status_{event.to}")
    if event.note:
        reply.say("update_note", blanks={"status": status, "note": event.note}, notice=True)
    else:
        reply.say("update", blanks={"status": status}, notice=True)


def announced(reply: Reply, event: SolutionAnnounced) -> None:
    """An agent calls it solved: the customer is asked."""
    if reply.case is None:
        return
    reply.state = replace(reply.state, case=replace(reply.case, solved_by="agent"))
    reply.update(stage="filed")
    reply.remember(pending=("closing",))
    reply.do(StopTimer("silence"))
    if event.note:
        reply.say("closing_note", blanks={"note": event.note}, notice=True)
    reply.say("closing_question", *SOLVED, notice=True)


def answer(reply: Reply, said: Said) -> bool:
    """The answer to "¿Quedó bien resuelto?". False: it was none.

    Its reply is a notice: the agent's question asked for it, even while the agent has the conversation.
    """
    case = reply.the_case
    still_wrong = said.act == "report" and said.type in FAILED and case.solved_by == "agent"
    if said.pressed == "solved:yes" or (said.pressed is None and said.act == "affirm"):
        _solved(reply)
    elif said.pressed == "solved:no" or said.act == "deny" or still_wrong or words.not_yet(said.text):
        _not_solved(reply, said)
    elif said.act == "thanks":
        reply.say("welcome")
        if "again" not in reply.talk.pending:  # put once more, and not at every "thanks"
            reply.say("closing_question", *SOLVED)
            reply.remember(pending=(*reply.talk.pending, "again"))
    else:
        return False
    return True


def _solved(reply: Reply) -> None:
    if reply.the_case.solved_by != "customer":
        reply.state = replace(reply.state, case=replace(reply.the_case, solved_by="customer", status="cerrado"))
        reply.do(ConfirmSolved())
        reply.say("closing_thanks", notice=True)
    reply.rest()


def _not_solved(reply: Reply, said: Said) -> None:
    """Reopened and flagged, whether they say it at once or come back to it later."""
    reply.state = replace(reply.state, case=replace(reply.the_case, solved_by=None, status="en_investigacion"))
    reply.do(Reopen(), Flag("not_solved"))
    if words.words_of_content(said.text) > 2:
        _keep_missing(reply, said)
        reply.say("closing_reopened", notice=True)
        reply.rest()
    else:
        reply.say("closing_not_yet", notice=True)
        reply.await_answer("missing")


def told_missing(reply: Reply, said: Said) -> None:
    """What is missing until it is well."""
    _keep_missing(reply, said)
    reply.say("missing_noted")
    reply.rest()


def _keep_missing(reply: Reply, said: Said) -> None:
    facts = merged(reply.the_case.facts, {"missing": (said.text.strip(),)})
    for heard in said.facts:
        facts = merged(facts, {heard.kind: (heard.value,)})
    reply.update(facts=facts)


def silent(reply: Reply, _event: SilenceDay) -> None:
    """A day without an answer: the case stays open with what is known, and people see it."""
    if reply.case is None or reply.case.stage == "filed":
        return
    reply.do(Flag("silent"))
    if reply.talk.speaker == "bot" and not reply.talk.reminded:
        reply.say("silence_kept")
        reply.remember(reminded=True)
