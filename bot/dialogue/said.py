"""The person wrote: which road the message takes. The first that fits is taken."""

from collections.abc import Callable
from dataclasses import replace

from bot.dialogue import closing, harm, lookups, manners, people, reach, words
from bot.dialogue.answers import merged
from bot.dialogue.effects import Choice, LeaveCase, SendCode, VerifyCode
from bot.dialogue.events import Said
from bot.dialogue.forms import FORMS
from bot.dialogue.gathering import answered, ask_again, confirmed, corrected
from bot.dialogue.opening import Report, begin, chosen_type, settle_type
from bot.dialogue.reply import Reply

SAME_CASE = (Choice("button_same", "same:yes"), Choice("button_other", "same:no"))

Road = Callable[[Reply, Said], bool]


def said(reply: Reply, event: Said) -> None:
    """One message, or one burst."""
    manners.get_to_know(reply, event)
    if reply.talk.speaker == "person":
        if not _closing(reply, event) and not _proof(reply, event):
            people.listen(reply, event)
    elif reply.talk.safety:
        people.keep_quietly(reply, event)
    elif harm.is_severe(event):
        harm.alert(reply, event)
        manners.introduce(reply, event)
    elif _waits_quietly(reply, event):
        people.wait(reply, event)
    else:
        manners.introduce(reply, event)
        next(road for road in ROADS if road(reply, event))


def _waits_quietly(reply: Reply, event: Said) -> bool:
    speaks_anyway = event.act == "stop" or (event.pressed or "").startswith("solved:")
    return reply.talk.speaker == "waiting" and event.people_online and not speaks_anyway


def _human(reply: Reply, event: Said) -> bool:
    if event.act != "human" and event.pressed != "person":
        return False
    people.hand_over(reply, event)
    return True


def _stop(reply: Reply, event: Said) -> bool:
    if event.act != "stop":
        return False
    manners.opt_out(reply)
    return True


def _proof(reply: Reply, event: Said) -> bool:
    """A one-time code comes back, or did not arrive."""
    address = reply.talk.proving
    if address is None:
        return False
    code = words.one_time_code(event.text)
    if code is not None:
        reply.remember(typed=event.text.strip())
        reply.do(VerifyCode(code))
        return True
    if words.wants_again(event.text) and len(event.text.split()) < 9 and event.type not in ("reclamo", "queja"):
        reply.do(SendCode(address))
        reply.say("code_sent", blanks={"email": address})
        return True
    return False


def _status(reply: Reply, event: Said) -> bool:
    code = lookups.code_in(event)
    if event.act != "status" and (code is None or words.words_of_content(event.text.replace(code, "")) > 2):
        return False
    lookups.seek(reply, code)
    return True


def _channel(reply: Reply, event: Said) -> bool:
    """A wish for another channel, pressed or said; beside a report it is taken together with the report."""
    if (event.pressed or "").startswith("channel:"):
        kind = (event.pressed or "").removeprefix("channel:")
        reach.want(reply, kind, event)
        return True
    wish = words.wanted_channel(event.text)
    if wish is None or (
        people.starts_case(event) and not reply.has_open_case and words.words_of_content(event.text) > 6
    ):
        return False
    reach.want(reply, wish, event)
    return True


def _anger(reply: Reply, event: Said) -> bool:
    if not manners.bare_insult(event) or event.pressed:
        return False
    manners.anger(reply, event)
    return True


def _closing(reply: Reply, event: Said) -> bool:
    pressed = (event.pressed or "").startswith("solved:")
    return reply.case is not None and (pressed or "closing" in reply.talk.pending) and closing.answer(reply, event)


def _same_case(reply: Reply, event: Said) -> bool:
    """The answer to "is it the same case?"; asked twice without one, the types decide."""
    pending = reply.talk.pending
    if "same_case" not in pending or reply.case is None:
        return False
    same = event.pressed == "same:yes" or event.act == "affirm" or words.same(event.text)
    other = event.pressed == "same:no" or event.act == "deny" or words.another(event.text)
    if not same and not other:
        people.hold(reply, event)
        if "again" not in pending:
            reply.say("ask_same_case", *SAME_CASE)
            reply.await_answer("same_case", "again")
            return True
        other = reply.talk.held_type != reply.case.type
    if other:
        begin_another(reply, people.held_report(reply))
    else:
        people.held_into_case(reply)
        reply.say("added")
        reply.rest()
    return True


def begin_another(reply: Reply, report: Report) -> None:
    """A new case; the one before stays what it is."""
    if reply.case is not None:
        reply.do(LeaveCase())
        reply.state = replace(reply.state, case=None)
    begin(reply, report)


def _missing(reply: Reply, event: Said) -> bool:
    if "missing" not in reply.talk.pending or reply.case is None or not event.text.strip():
        return False
    closing.told_missing(reply, event)
    return True


def _type(reply: Reply, event: Said) -> bool:
    """The answer to "what is it?", with the case open already or (nothing was said yet) with none."""
    pressed = (event.pressed or "").startswith("type:")
    if "type" not in reply.talk.pending and not (pressed and reply.case is not None and reply.case.doubt):
        return False
    if event.act in ("greeting", "thanks", "smalltalk") and not pressed:
        return False
    _contact_beside(reply, event)
    if reply.has_open_case:
        settle_type(reply, event)
        return True
    kind = chosen_type(event)
    if kind is None or people.starts_case(event):
        return False  # a report of its own: it opens a case by itself
    if event.text and words.words_of_content(event.text) > 2:
        people.hold(reply, event)
    begin_another(reply, replace(people.held_report(reply), type=kind, doubt=False))
    return True


def _confirm(reply: Reply, event: Said) -> bool:
    pressed = (event.pressed or "").startswith("confirm:")
    case = reply.case
    if case is None or case.stage != "confirming" or not (pressed or "confirm" in reply.talk.pending):
        return False
    if not pressed and (event.act in ("greeting", "thanks", "smalltalk", "spam") or words.asks(event.text)):
        return False
    confirmed(reply, event)
    return True


def _correct(reply: Reply, event: Said) -> bool:
    if "correct" not in reply.talk.pending or reply.case is None or not (event.text.strip() or event.files):
        return False
    corrected(reply, event)
    return True


def _address(reply: Reply, event: Said) -> bool:
    """We asked for an e-mail address."""
    if "address" not in reply.talk.pending:
        return False
    if reach.email_in(event):
        reach.prove(reply, reach.email_in(event) or "")
        return True
    reach.no_address(reply, event)
    return not people.starts_case(event) and len(reply.talk.pending) == 0


def _choose_channel(reply: Reply, event: Said) -> bool:
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


def _contact(reply: Reply, event: Said) -> bool:
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


def _consent(reply: Reply, event: Said) -> bool:
    """Yes or no to sharing their words, or to being told what was decided."""
    case, pending = reply.case, reply.talk.pending
    for question in ("share", "feedback"):
        if case is None or question not in pending:
            continue
        pressed = (event.pressed or "").removeprefix(f"{question}:") if event.pressed else None
        yes = pressed == "yes" or (pressed is None and event.act == "affirm")
        no = pressed == "no" or (pressed is None and event.act == "deny")
        if yes or no:
            reply.update(facts=merged(case.facts, {question: ("yes" if yes else "no",)}))
            if question == "share":
                reply.update(share_words=yes)
            reply.remember(pending=tuple(slot for slot in pending if slot != question))
            rest = replace(event, act="provide") if words.words_of_content(event.text) > 2 or event.facts else Said()
            answered(reply, rest)
            return True
    return False


def _gathering(reply: Reply, event: Said) -> bool:
    """The form is open: an answer, or a digression that keeps the question."""
    if not reply.has_open_case or reply.case is None or reply.case.stage == "filed":
        return False
    if event.act == "greeting" and not event.facts:
        manners.greet(reply)
    elif event.act == "thanks" and words.words_of_content(event.text) <= 3:
        manners.thank(reply)
    elif event.act in ("smalltalk", "spam"):
        manners.chat(reply, event)
    elif event.pressed and not event.text:
        ask_again(reply)
    elif event.files and not event.text:
        reply.say("file_added")
        answered(reply, event)
    else:
        answered(reply, event)
    return True


def _filed(reply: Reply, event: Said) -> bool:
    """The case is complete: more for it, or something new?"""
    if not reply.has_open_case or reply.case is None:
        return False
    content = words.words_of_content(event.text)
    if event.act == "greeting":
        manners.greet(reply)
    elif event.act == "thanks" and not people.starts_case(event):
        manners.thank(reply)
    elif event.act in ("smalltalk", "spam"):
        manners.chat(reply, event)
    elif people.starts_case(event) and event.type != "otro" and content >= 2:
        people.hold(reply, event)
        reply.say("ask_same_case", *SAME_CASE)
        reply.await_answer("same_case")
    elif (content >= 1 and event.act not in ("affirm", "deny")) or event.files or event.facts:
        people.keep_quietly(reply, event)
        reply.say("file_added" if event.files and not event.text else "added")
    else:
        manners.busy(reply)
    return True


def _new(reply: Reply, event: Said) -> bool:
    """No case is open."""
    if people.starts_case(event) or (
        event.type in FORMS and reply.talk.held_facts and event.act == "report" and event.text
    ):
        _report(reply, event)
    elif event.files and not event.text:
        manners.file_only(reply, event)
    elif event.act == "greeting":
        manners.greet(reply)
    elif event.act == "thanks":
        manners.thank(reply)
    elif event.act in ("smalltalk", "spam"):
        manners.chat(reply, event)
    else:
        manners.cannot_tell(reply, event)
    return True


def _report(reply: Reply, event: Said) -> None:
    """The first Answer to a report; a wish for a channel that came with it is taken too."""
    wish = words.wanted_channel(event.text)
    if wish is not None:
        reply.remember(contact_asked=True)
    begin_another(reply, Report.of(event))
    if wish is not None:
        reach.want(reply, wish, event)


ROADS: tuple[Road, ...] = (
    _human, _stop, manners.switch_language, _proof, _status, _channel, _anger, _closing, _same_case, _missing, _type,
    _confirm, _correct, _address, _choose_channel, _contact, _consent, _gathering, _filed, _new,
)  # fmt: skip
