"""What belongs to no case: greetings, thanks, insults, adverts, the wish to be left alone."""

from bot.dialogue import words
from bot.dialogue.effects import OptOut, SetLanguage, SetName, SetTreatment
from bot.dialogue.events import Said
from bot.dialogue.gathering import ask_again, say_contact, wants_contact
from bot.dialogue.opening import TYPE_CHOICES
from bot.dialogue.people import PERSON, hand_over, hold
from bot.dialogue.reply import Reply


def get_to_know(reply: Reply, said: Said) -> None:
    """What every message tells beside its matter: the language, a name, how they want to be addressed."""
    wanted = words.wanted_language(said.text)
    language = wanted or said.language
    if language != reply.profile.language:
        reply.know(language=language)
        reply.do(SetLanguage(language))
    name = words.told_name(said.text)
    if name and reply.profile.name is None:
        reply.know(name=name)
        reply.do(SetName(name))
    if language == "es" and reply.profile.treatment == "tu" and words.uses_usted(said.text):
        reply.know(treatment="usted")
        reply.do(SetTreatment("usted"))
    reply.remember(
        channel=said.channel, channels=said.channels, reachable=said.reachable, proves_phone=said.proves_phone
    )


def introduce(reply: Reply, said: Said) -> None:
    """Whoever has not heard it yet hears that this is an AI assistant."""
    if not said.acked and not reply.talk.noticed:
        reply.say("ai_notice")
    reply.remember(noticed=True)


def switch_language(reply: Reply, said: Said) -> bool:
    """The message asks for another language and for nothing else."""
    if words.wanted_language(said.text) is None or len(said.text.split()) > 8:
        return False
    reply.say("language_set")
    ask_again(reply)
    return True


def opt_out(reply: Reply) -> None:
    """Confirmed once; a second time would be one message too many."""
    if reply.profile.opted_out:
        return
    reply.know(opted_out=True)
    reply.do(OptOut())
    reply.say("opt_out_done")
    reply.rest()


def bare_insult(said: Said) -> bool:
    """An insult without a matter."""
    no_matter = said.likely == "otro" and not said.facts and len(said.text.split()) <= 7
    return words.insults(said.text) and (said.act == "smalltalk" or no_matter)


def anger(reply: Reply, said: Said) -> None:
    """Acknowledge it once and offer a person; the second time a person takes over. Never mirror, never close."""
    reply.remember(anger=reply.talk.anger + 1)
    if reply.talk.anger == 1:
        reply.say("anger_case" if reply.has_open_case else "anger", PERSON)
    else:
        hand_over(reply, said, reason="anger")


def greet(reply: Reply) -> None:
    """A greeting in return; who is reachable nowhere else is asked for an address in the first Answer."""
    case = reply.case
    if reply.has_open_case and case is not None and case.stage != "filed":
        reply.say("greeting_back")
        ask_again(reply)
    elif reply.has_open_case:
        reply.say("greeting_case")
    elif not _idle(reply):
        reply.say("greeting", PERSON)
        ask_for_contact(reply)
    reply.remember(greeted=True)


def _idle(reply: Reply) -> bool:
    """Message after message without a matter: nobody wants to hear the same sentence again."""
    idle = reply.talk.idle
    reply.remember(idle=idle + 1)
    if idle == 1:
        reply.say("what_can_i_do", *TYPE_CHOICES, PERSON)
        reply.remember(pending=tuple(dict.fromkeys((*reply.talk.pending, "type"))))
    elif idle > 1:
        reply.say("still_here", PERSON)
    return idle > 0


def ask_for_contact(reply: Reply) -> None:
    """Once, where no case asks for it: how to reach them outside this window."""
    if wants_contact(reply):
        say_contact(reply)
        reply.remember(pending=("contact",))


def thank(reply: Reply) -> None:
    """Bare thanks."""
    reply.say("welcome" if reply.has_open_case else "welcome_plain")


def chat(reply: Reply, said: Said) -> None:
    """Small talk and adverts: back to the matter, and the second advert gets nothing."""
    if said.act == "spam":
        if not reply.talk.spam:
            reply.remember(spam=True)
            reply.say("off_topic")
        return
    if reply.has_open_case:
        reply.say("off_topic_case")
        ask_again(reply)
    elif not _idle(reply):
        reply.say("smalltalk", PERSON)
        ask_for_contact(reply)


def cannot_tell(reply: Reply, said: Said) -> None:
    """Words that we can make nothing of, and no case: what can we do? The words are kept for the case that may come."""
    if words.words_of_content(said.text) >= 2 or said.files or said.facts:
        hold(reply, said)
    reply.say("what_can_i_do", *TYPE_CHOICES)
    contact = wants_contact(reply)
    if contact:
        say_contact(reply)
    reply.remember(pending=("type", "contact") if contact else ("type",))


def file_only(reply: Reply, said: Said) -> None:
    """A file without a word, and no case to put it to."""
    hold(reply, said)
    reply.say("voice_received" if said.voice else "file_received")
    ask_for_contact(reply)


def busy(reply: Reply) -> None:
    """Nothing to add: the case is in hand, or how we can help."""
    reply.say(
        "case_in_hand" if reply.has_open_case else "what_can_i_do", *(() if reply.has_open_case else TYPE_CHOICES)
    )
