"""The person wrote: which road the message takes. The first that fits is taken."""

from collections.abc import Callable
from dataclasses import replace

from bot.dialogue import harm, lookups, manners, numbers, people, questions, reach, survey, words
from bot.dialogue.effects import Flag, SendCode, VerifyCode
from bot.dialogue.events import Said
from bot.dialogue.forms import FAILED, FREE_TEXT, known
from bot.dialogue.gathering import answered, ask_again
from bot.dialogue.opening import Report, begin, settle_type
from bot.dialogue.reply import Reply

Road = Callable[[Reply, Said], bool]


def said(reply: Reply, event: Said) -> None:
    """One message, or one burst."""
    event = _report_after_all(reply, _as_meant(event))
    manners.get_to_know(reply, event)
    proof = reply.talk.proving is not None and numbers.one_time_code(event.text) is not None
    if reply.talk.speaker == "person":
        if not any(road(reply, event) for road in (questions.solved, _proof, survey.pressed)):
            people.listen(reply, event)
    elif reply.talk.safety:
        if not _status_meanwhile(reply, event):
            people.keep_quietly(reply, event)
            people.reassure_once(reply, event)
    elif harm.is_severe(event):
        harm.alert(reply, event)
        manners.introduce(reply, event)
    elif _waits_quietly(reply, event):
        if not _status_meanwhile(reply, event):
            people.wait(reply, event)
    else:
        manners.introduce(reply, event)
        next(road for road in ROADS if road(reply, event))
    if not proof:  # the digits of a one-time code are no fact of the case
        people.keep_facts(reply, event)


def _as_meant(event: Said) -> Said:
    """A pressed button is its payload, not the words of its label; a file alone has no words to be understood."""
    if event.pressed is None and event.text.strip():
        return replace(event, act="status") if words.only_status(event.text) else event
    nothing = Said()
    return replace(
        event,
        text="",
        facts=(),
        alarms=(),
        act="provide",
        type=nothing.type,
        sure=False,
        severity=nothing.severity,
        human_now=False,
    )


def _report_after_all(reply: Reply, event: Said) -> Said:
    """ "Still waiting for my refund" from somebody of whom there is no case: a report, which must not get lost."""
    asks = event.act == "status" and lookups.code_in(event) is None
    told = event.sure and event.type in FAILED and not words.names_case(event.text)
    return replace(event, act="report") if asks and told and reply.case is None else event


def _waits_quietly(reply: Reply, event: Said) -> bool:
    speaks_anyway = event.act == "stop" or (event.pressed or "").startswith(("solved:", "csat:"))
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
    code = numbers.one_time_code(event.text)
    if code is not None:
        reply.remember(typed=event.text.strip())
        reply.do(VerifyCode(code))
        return True
    if words.wants_again(event.text) and len(event.text.split()) < 9:
        reply.do(SendCode(address, reach.kind_of(address)))
        reply.say("code_sent", blanks={"address": address})
        return True
    return False


def _status(reply: Reply, event: Said) -> bool:
    code = lookups.code_in(event)
    if event.act != "status" and (code is None or words.words_of_content(event.text.replace(code, "")) > 2):
        return False
    lookups.seek(reply, code)
    return True


def _status_meanwhile(reply: Reply, event: Said) -> bool:
    """A person was called and none has come: how the case stands can be told all the same (P20)."""
    if reply.talk.speaker != "waiting" or not _status(reply, event):
        return False
    if event.facts or event.files or words.words_of_content(event.text) > 6:
        people.keep_quietly(reply, event)
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


def _gathering(reply: Reply, event: Said) -> bool:
    """The form is open: an answer, or a digression that keeps the question."""
    if not reply.has_open_case or reply.case is None or reply.case.stage == "filed":
        return False
    if event.act == "greeting" and not event.facts:
        manners.greet(reply)
    elif event.act == "thanks" and words.words_of_content(event.text) <= 3:
        manners.thank(reply)
    elif event.act in ("smalltalk", "spam") and not _answers_in_words(reply, event):
        manners.chat(reply, event)
    elif event.pressed and not event.text:
        ask_again(reply)
    else:
        answered(reply, event)
    return True


def _answers_in_words(reply: Reply, event: Said) -> bool:
    """We asked for words and words came: "to older people" says nothing by itself, and is idle talk to the reader."""
    waits = any(slot in FREE_TEXT and not known(reply.the_case, slot) for slot in reply.talk.pending)
    return waits and not words.idle(event.text) and not words.insults(event.text)


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
    elif words.asks_when(event.text):
        people.keep_quietly(reply, event)
        lookups.seek(reply, None)
    elif words.asks(event.text) and event.type in ("otro", "peticion"):
        people.keep_quietly(reply, event)
        reply.say("side_question")
    elif reply.case.doubt and event.sure and event.type != "otro" and event.act in ("report", "provide"):
        reply.update(stage="gathering")  # only now do we hear what it is
        settle_type(reply, event)
    elif people.starts_case(event) and event.type != "otro" and content >= 2 and not _belongs_here(event):
        people.hold(reply, event)
        reply.say("ask_same_case", *questions.SAME_CASE)
        reply.await_answer("same_case")
    elif (content >= 1 and event.act not in ("affirm", "deny")) or event.files or event.facts:
        people.keep_quietly(reply, event)
        again = reply.talk.added  # the long sentence once; then a nod is enough
        wordless = event.files > 0 and not event.text
        kept = "voice_added" if event.voice else "file_added"
        reply.say(kept if wordless else "noted" if again else "added")
        reply.remember(added=True)
    else:
        manners.busy(reply)
    return True


def _other_subject(reply: Reply, event: Said) -> bool:
    """An old mail is answered under a new subject: about the same, or about something new? (P13)"""
    if not event.other_subject or event.pressed or not reply.has_open_case or reply.case is None:
        return False
    idle = event.act in ("thanks", "greeting", "smalltalk", "spam", "affirm", "deny")
    if reply.case.stage != "filed" or idle or words.words_of_content(event.text) < 2:
        return False
    people.hold(reply, event)
    reply.say("ask_same_case", *questions.SAME_CASE)
    reply.await_answer("same_case")
    return True


def _belongs_here(event: Said) -> bool:
    """How to reach them, or what they ask for, and little else: no report of its own."""
    address = any(fact.kind in ("email", "phone") for fact in event.facts)
    demand = sum(len(fact.text) for fact in event.facts if fact.kind == "wish")
    return (address and words.words_of_content(event.text) <= 8) or demand >= 0.7 * len(event.text.strip())


def _new(reply: Reply, event: Said) -> bool:
    """No case is open."""
    content = words.words_of_content(event.text)
    # nothing was asked, so it answers nothing: what tells a failure is a report, however sure the reader is
    unasked = event.act == "provide" and (content >= 4 or (content >= 2 and event.likely != "otro"))
    if people.starts_case(event) or unasked:
        _report(reply, event)  # rather a case in doubt than a report that gets lost
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
    reply.remember(idle=0, added=False)
    begin(reply, Report.of(event))
    if wish is not None:
        reach.want(reply, wish, event)


def _gives_up(reply: Reply, event: Said) -> bool:
    """Too tired to go on: nothing more is asked, people see it, and the case stays open."""
    if not reply.has_open_case or event.pressed or not words.gives_up(event.text):
        return False
    people.keep_quietly(reply, event)
    reply.do(Flag("gave_up"))
    reply.update(stage="filed")
    reply.rest()
    reply.say("given_up", people.PERSON)
    return True


ROADS: tuple[Road, ...] = (
    _human,
    _stop,
    reach.answer_link,
    manners.switch_language,
    _proof,
    _status,
    _channel,
    _anger,
    _gives_up,
    survey.answered,
    questions.solved,
    questions.same_case,
    _other_subject,
    questions.what_is_missing,
    questions.which_type,
    questions.late_address,
    questions.summary,
    questions.what_to_correct,
    questions.where_to_write,
    questions.which_number,
    questions.which_channel,
    questions.how_to_reach,
    questions.consent,
    _gathering,
    _filed,
    _new,
)
