"""Answers to the questions that are asked beside the form. Each says whether the message was its answer."""

from dataclasses import replace

from bot.dialogue import closing, people, reach, words
from bot.dialogue.effects import Choice, UpdateCase
from bot.dialogue.events import Said
from bot.dialogue.forms import FORMS
from bot.dialogue.gathering import answered, ask_again, confirmed, corrected, file, go_on
from bot.dialogue.opening import ask_type, begin, chosen_type, settle_type
from bot.dialogue.reply import Reply

SAME_CASE = (Choice("button_same", "same:yes"), Choice("button_other", "same:no"))


def solved(reply: Reply, event: Said) -> bool:
    pressed = (event.pressed or "").startswith("solved:")
    return reply.case is not None and (pressed or "closing" in reply.talk.pending) and closing.answer(reply, event)


def same_case(reply: Reply, event: Said) -> bool:
    """The answer to "is it the same case?"; asked twice without one, the types decide."""
    pending = reply.talk.pending
    if "same_case" not in pending or reply.case is None:
        return False
    same = event.pressed == "same:yes" or event.act == "affirm" or words.same(event.text)
    other = event.pressed == "same:no" or event.act == "deny" or words.another(event.text)
    if event.act in ("thanks", "greeting", "smalltalk") and not same and not other:
        people.held_into_case(reply)  # they have turned to something else: nothing gets lost in the case that we have
        reply.rest()
        reply.say("welcome" if event.act == "thanks" else "added")
        return True
    if not same and not other:
        people.hold(reply, event)
        if "again" not in pending:
            reply.say("ask_same_case", *SAME_CASE)
            reply.await_answer("same_case", "again")
            return True
        other = reply.talk.held_type != reply.case.type
    if other:
        begin(reply, people.held_report(reply))
    else:
        people.held_into_case(reply)
        reply.say("added")
        reply.rest()
    return True


def what_is_missing(reply: Reply, event: Said) -> bool:
    if "missing" not in reply.talk.pending or reply.case is None or not event.text.strip():
        return False
    closing.told_missing(reply, event)
    return True


def which_type(reply: Reply, event: Said) -> bool:
    """The answer to "what is it?", with the case open already or (nothing was said yet) with none."""
    pressed = (event.pressed or "").startswith("type:")
    if "type" not in reply.talk.pending and not (pressed and reply.case is not None and reply.case.doubt):
        return False
    if event.act in ("greeting", "thanks", "smalltalk") and not pressed:
        return False
    _contact_beside(reply, event)
    aside = event.text.rstrip().endswith("?") and words.named_type(event.text) is None and not pressed
    if aside and reply.has_open_case and event.type in ("otro", "peticion"):
        people.keep_quietly(reply, event)
        reply.say("side_question")
        if "again" not in reply.talk.pending:
            ask_type(reply)
            reply.await_answer(*reply.talk.pending, "again")
        return True
    if reply.has_open_case:
        settle_type(reply, event)
        return True
    kind = chosen_type(event)
    if kind is None or people.starts_case(event):
        return False  # a report of its own: it opens a case by itself
    if event.text and words.words_of_content(event.text) > 2:
        people.hold(reply, event)
    begin(reply, replace(people.held_report(reply), type=kind, doubt=False))
    return True


def summary(reply: Reply, event: Said) -> bool:
    pressed = (event.pressed or "").startswith("confirm:")
    case = reply.case
    if case is None or case.stage != "confirming" or not (pressed or "confirm" in reply.talk.pending):
        return False
    aside = event.act in ("greeting", "thanks", "smalltalk", "spam") or words.asks(event.text) or not event.text.strip()
    if aside and not pressed:
        return False
    confirmed(reply, event)
    return True


def what_to_correct(reply: Reply, event: Said) -> bool:
    if "correct" not in reply.talk.pending or reply.case is None or not (event.text.strip() or event.files):
        return False
    if words.unknown(event.text) or event.act in ("affirm", "thanks"):
        file(reply)
    else:
        corrected(reply, event)
    return True


def where_to_write(reply: Reply, event: Said) -> bool:
    """We asked for an e-mail address."""
    if "address" not in reply.talk.pending:
        return False
    if reach.email_in(event):
        reach.prove(reply, reach.email_in(event) or "")
        return True
    reach.no_address(reply, event)
    return not people.starts_case(event) and len(reply.talk.pending) == 0


def which_number(reply: Reply, event: Said) -> bool:
    """We asked for the number of their telephone; a typed one is proved by a code."""
    if "own_number" not in reply.talk.pending or event.pressed:
        return False
    number = reach.phone_in(event)
    if number is not None:
        reach.prove(reply, number)
        return True
    reach.no_number(reply, event)
    return not people.starts_case(event) and len(reply.talk.pending) == 0


def which_channel(reply: Reply, event: Said) -> bool:
    """We asked by which channel; a bare address, a name of a channel or "here" answers."""
    if "channel" not in reply.talk.pending or words.words_of_content(event.text) > 6:
        return False
    kind = words.named_channel(event.text) or ("email" if reach.email_in(event) else None)
    if kind is None and (event.act in ("affirm", "deny") or words.here(event.text)):
        kind = "here"
    if kind is None:
        return False
    reach.want(reply, kind, event)
    return True


def late_address(reply: Reply, event: Said) -> bool:
    """The address that we asked for some questions ago, alone in a message."""
    asked = reply.talk.contact_asked or "email" not in reply.talk.channels  # where we send no mail we do not ask
    open_question = "contact" in reply.talk.pending or reply.talk.proving or not asked
    late = reach.email_in(event) and not reply.talk.reachable and words.words_of_content(event.text) <= 5
    if open_question or not late or not reply.has_open_case:
        return False
    reach.give_contact(reply, event)
    ask_again(reply)
    return True


def how_to_reach(reply: Reply, event: Said) -> bool:
    """We asked how to reach them. An address is taken and the rest of the message goes on its way."""
    if "contact" not in reply.talk.pending:
        return False
    got = _contact_beside(reply, event)
    if reply.has_open_case or people.starts_case(event):
        return False
    if got:
        return True
    reply.remember(pending=())
    return False


def _contact_beside(reply: Reply, event: Said) -> bool:
    if "contact" not in reply.talk.pending:
        return False
    if words.named_channel(event.text) == "telegram" and "telegram" in reply.talk.channels:
        reach.want(reply, "telegram", event)
        return True
    return reach.give_contact(reply, event)


def consent(reply: Reply, event: Said) -> bool:
    """Yes or no to sharing their words, or to being told what was decided."""
    for question in ("share", "feedback"):
        given = _yes_or_no(reply, event, question)
        if given is None:
            continue
        reply.update(facts={**reply.the_case.facts, question: (given,)})
        if question == "share":
            reply.do(UpdateCase(share_words=given == "yes"))
        reply.remember(pending=tuple(slot for slot in reply.talk.pending if slot != question))
        if words.words_of_content(event.text) > 2 or event.facts:
            answered(reply, replace(event, act="provide"))
        else:
            go_on(reply)
        return True
    return False


def _yes_or_no(reply: Reply, event: Said, question: str) -> str | None:
    """A late press counts as long as the case is the one that asked."""
    if not reply.has_open_case or question not in FORMS[reply.the_case.type]:
        return None
    if event.pressed is not None:
        pressed = event.pressed.removeprefix(f"{question}:")
        return pressed if event.pressed.startswith(f"{question}:") and pressed in ("yes", "no") else None
    if question not in reply.talk.pending:
        return None
    return {"affirm": "yes", "deny": "no"}.get(event.act)
