"""After a solved case: how good the solution was, and whether they would recommend us. It never blocks anything."""

from bot.dialogue import numbers, words
from bot.dialogue.effects import Choice, RecordSurvey
from bot.dialogue.events import Said, SurveyDue
from bot.dialogue.reply import Reply

BEST, LIKELIEST = 5, 10
POOR, DETRACTOR = 2, 6  # so much or less, and a person looks at it (I16)
QUESTIONS = ("csat", "nps", "comment")
_OURS = frozenset({*QUESTIONS, "closing"})


def due(reply: Reply, event: SurveyDue) -> None:
    """The first question. "¿Quedó resuelto?" was asked when the case was called solved, and is not asked again."""
    if not free(reply):
        return
    reply.remember(pending=("csat", *_closing(reply)), survey=event.code)
    scores = [Choice(f"button_csat_{score}", f"csat:{score}:{event.code}") for score in range(1, BEST + 1)]
    reply.say("survey_reminder" if event.reminder else "survey_ask", *scores, blanks={"code": event.code})


def free(reply: Reply) -> bool:
    """Whether nobody else has the word here, and no other question of ours is open."""
    return reply.talk.speaker == "bot" and not reply.talk.safety and _OURS.issuperset(reply.talk.pending)


def answered(reply: Reply, said: Said) -> bool:
    """A score, or a word about it. False: it is something else, and goes its own way."""
    if (said.pressed or "").startswith("csat:"):
        return pressed(reply, said)
    pending, code = reply.talk.pending, reply.talk.survey
    if said.pressed is not None or code is None:
        return False
    if {"csat", "nps"} & set(pending) and words.rather_not(said.text):
        # a mere no is a no to the question, and says nothing of the case
        _leave(reply)
        reply.do(RecordSurvey(code, declined=True))
        reply.say("survey_declined")
        return True
    if "csat" in pending:
        found = numbers.score_in(said.text, 1, BEST)
        if found is not None:
            _rated(reply, code, found[0], found[1])
        return found is not None or _remark(reply, said, code)
    if "nps" in pending:
        found = numbers.score_in(said.text, 0, LIKELIEST)
        if found is not None:
            _recommends(reply, code, found[0], found[1])
        return found is not None or _remark(reply, said, code)
    if "comment" in pending:
        _leave(reply)  # the next message only: what is written in a week is no remark on this
        return _remark(reply, said, code, asked=True)
    return False


def pressed(reply: Reply, said: Said) -> bool:
    """A score by its button, however late; while a person has the word it is kept without a reply."""
    if not (said.pressed or "").startswith("csat:"):
        return False
    score, _, code = (said.pressed or "").removeprefix("csat:").partition(":")
    known = code or reply.talk.survey
    if known is None or score not in map(str, range(1, BEST + 1)):
        return False
    _rated(reply, known, int(score), "")
    return True


def _rated(reply: Reply, code: str, score: int, comment: str) -> None:
    poor = score <= POOR
    reply.do(RecordSurvey(code, csat=score, comment=comment or None, low=poor))
    if reply.talk.speaker != "bot" or reply.talk.safety:
        return
    asked = "nps" in reply.talk.pending
    if asked and reply.talk.survey == code:
        return  # pressed twice: the question that follows stands there already
    if not free(reply):
        reply.say("survey_sorry" if poor else "survey_done")  # something more urgent is being asked
        return
    reply.remember(pending=("nps", *_closing(reply)), survey=code)
    reply.say("survey_sorry" if poor else "survey_thanks")
    reply.say("survey_nps", blanks={"low": "0", "high": str(LIKELIEST)})


def _recommends(reply: Reply, code: str, score: int, comment: str) -> None:
    low = score <= DETRACTOR
    reply.do(RecordSurvey(code, nps=score, comment=comment or None, low=low))
    _leave(reply)
    if low and not comment:
        reply.say("survey_what")
        reply.remember(pending=("comment", *reply.talk.pending))
    else:
        reply.say("survey_done_low" if low else "survey_done")


def _remark(reply: Reply, said: Said, code: str, *, asked: bool = False) -> bool:
    """Words instead of a number. A report, a question, a yes or a greeting is none.

    `asked`: we asked what should be better, so what sounds like a complaint is the answer, unless it tells new facts.
    """
    acts = ("report", "provide", "smalltalk") if asked else ("report", "provide")  # "to wait less" is idle by itself
    if said.act not in acts or words.asks(said.text) or words.idle(said.text) or said.files:
        return False
    report = said.likely != "otro"  # praise as well: it may be of something else, and who is praised must hear of it
    if words.words_of_content(said.text) < 2 or (report and (said.facts or not asked)):
        return False
    unclear = said.act == "report" and said.likely == "otro"  # perhaps more than a remark: people see it
    reply.do(RecordSurvey(code, comment=said.text.strip(), low=unclear))
    _leave(reply)
    reply.say("survey_done")
    return True


def _leave(reply: Reply) -> None:
    reply.remember(pending=tuple(one for one in reply.talk.pending if one not in QUESTIONS))


def _closing(reply: Reply) -> tuple[str, ...]:
    """Their word that it is solved is still missing, and still counts."""
    return tuple(one for one in reply.talk.pending if one == "closing")
