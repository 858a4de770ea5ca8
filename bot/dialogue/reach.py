"""By which channel we write: the wish is taken at any time, and an address is used once it is proved."""

import re

from bot.dialogue.answers import merged
from bot.dialogue.effects import (
    SHARE_PHONE,
    AddContact,
    Choice,
    FollowLink,
    MakeLink,
    SendCode,
    SetPreferred,
    Word,
)
from bot.dialogue.events import ChannelLinked, CodeFailed, CodeVerified, LinkOpened, PhoneShared, Said
from bot.dialogue.gathering import answered, ask_again
from bot.dialogue.reply import Reply

NAMED = frozenset({"web", "webchat", "email", "telegram", "whatsapp", "sms", "slack", "memory"})
LINK = (Choice("button_link_yes", "link:yes"), Choice("button_link_no", "link:no"))
PHONES = ("whatsapp", "sms")  # kinds of channel whose addresses are telephone numbers
ASK_PHONE = Choice("button_phone", SHARE_PHONE)
_CODES_BY = {"email": "email", "phone": "sms"}  # kind of address: kind of channel that carries its code
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


def email_in(said: Said) -> str | None:
    """The e-mail address that the message holds."""
    heard = next((fact.value for fact in said.facts if fact.kind == "email"), None)
    found = _EMAIL.search(said.text)
    return heard or (found.group(0).lower().rstrip(".") if found else None)


def phone_in(said: Said) -> str | None:
    """The telephone number that the message holds."""
    return next((fact.value for fact in said.facts if fact.kind == "phone"), None)


def want(reply: Reply, kind: str, said: Said) -> None:
    """The person wants to be written to by this kind of channel ("here": where we are)."""
    talk = reply.talk
    kind = talk.channel if kind == "here" else kind
    address = email_in(said) if kind == "email" else None
    _leave(reply, "channel", "address", "contact", "own_number")
    if (kind == talk.channel and address is None) or (reply.profile.contacts.get(kind) and address is None):
        prefer(reply, kind)
    elif kind not in talk.channels or kind not in ("email", "telegram", *PHONES):
        reply.say("channel_unavailable", blanks={"channel": _named(kind)})
    elif kind in PHONES:
        reply.remember(wanted=kind)
        _want_number(reply, kind, said)
    elif kind == "telegram":
        reply.remember(wanted="telegram")
        reply.do(MakeLink("telegram"))
        reply.say("telegram_link")
    elif address is not None:
        reply.remember(wanted="email")
        prove(reply, address)
    else:
        reply.remember(wanted="email")
        reply.say("ask_address")
        reply.await_answer("address", *reply.talk.pending)


def _want_number(reply: Reply, kind: str, said: Said) -> None:
    """A number that is not proved yet: by code, by the phone itself, or by a text that is sent from it."""
    number = phone_in(said)
    if number is not None and "sms" in reply.talk.channels:
        prove(reply, number)
    elif reply.talk.proves_phone:
        reply.say("ask_own_number", ASK_PHONE)
        reply.await_answer("own_number", *reply.talk.pending)
    elif kind == "whatsapp":
        reply.do(MakeLink("whatsapp"))
        reply.say("whatsapp_link")
    else:
        reply.say("ask_number")
        reply.await_answer("own_number", *reply.talk.pending)


def prefer(reply: Reply, kind: str, address: str | None = None) -> None:
    """From now on by this channel."""
    reply.know(preferred=kind)
    reply.remember(wanted=None)
    reply.do(SetPreferred(kind, address))
    reply.say("preferred_set", blanks={"channel": _named(kind)})


def prove(reply: Reply, address: str) -> None:
    """An e-mail address or a number is anybody's until a code that went there comes back."""
    _leave(reply, "channel", "address", "contact", "own_number")
    kind = kind_of(address)
    if _CODES_BY[kind] not in reply.talk.channels:  # this installation sends nothing there: nothing is promised
        reply.do(AddContact(kind, address))
        reply.say("address_noted", blanks={"address": address})
        return
    reply.remember(proving=address, reachable=True)
    reply.do(AddContact(kind, address), SendCode(address, kind))
    reply.say("code_sent", blanks={"address": address})


def kind_of(address: str) -> str:
    """email | phone."""
    return "email" if "@" in address else "phone"


def give_contact(reply: Reply, said: Said) -> bool:
    """An answer to "where can we write to you?": an address or a channel. False: there was none in it."""
    address, phone = email_in(said), phone_in(said)
    if address is not None:
        prove(reply, address)
    elif phone is not None and "sms" in reply.talk.channels:
        prove(reply, phone)
    elif phone is not None:
        _leave(reply, "contact", "address")
        reply.remember(reachable=True)
        reply.do(AddContact("phone", phone))
    return address is not None or phone is not None


def no_address(reply: Reply, said: Said) -> None:
    """We asked for an address and got something else: we go on writing here."""
    _leave(reply, "address")
    reply.remember(wanted=None)
    reply.say("address_not_understood" if said.act != "deny" else "preferred_here")


def no_number(reply: Reply, said: Said) -> None:
    """We asked for a telephone number and got something else."""
    _leave(reply, "own_number")
    reply.remember(wanted=None)
    reply.say("number_not_understood" if said.act != "deny" else "preferred_here")


def verified(reply: Reply, event: CodeVerified) -> None:
    """The address is theirs."""
    reply.remember(proving=None, typed=None)
    here = tuple(kind for kind in PHONES if kind in reply.talk.channels)
    _proved(reply, event.address, here if event.kind == "phone" else (event.kind,))
    ask_again(reply)


def shared(reply: Reply, event: PhoneShared) -> None:
    """Their own number, by the button: nothing more is to be proved. Whoever waits to be called hears that it came."""
    called = "callback" in reply.talk.pending
    _leave(reply, "callback", "own_number", "contact", "address")
    _keep_number(reply, event.number)
    if called:
        reply.know(contacts={**reply.profile.contacts, **dict.fromkeys(event.kinds, True)})
        reply.say("callback_noted", blanks={"phone": event.number})
        return
    if event.kinds:
        reply.remember(reachable=True)
        _proved(reply, event.number, event.kinds, quiet=reply.talk.safety)
    elif not reply.talk.safety:
        reply.remember(wanted=None)
        reply.say("number_noted", blanks={"phone": event.number})
    if not reply.talk.safety and reply.talk.speaker == "bot":
        ask_again(reply)


def _proved(reply: Reply, address: str, kinds: tuple[str, ...], *, quiet: bool = False) -> None:
    reply.know(contacts={**reply.profile.contacts, **dict.fromkeys(kinds, True)})
    if reply.talk.wanted in kinds:
        prefer(reply, reply.talk.wanted, address)
    elif not quiet:
        reply.say("address_verified", blanks={"address": address})


def _keep_number(reply: Reply, number: str) -> None:
    """It is a fact of the case, or of the one to come."""
    reply.do(AddContact("phone", number))
    if reply.case is not None:
        reply.update(facts=merged(reply.case.facts, {"phone": (number,)}))
    else:
        reply.remember(held_facts=merged(reply.talk.held_facts, {"phone": (number,)}))


def failed(reply: Reply, event: CodeFailed) -> None:
    """A wrong code; six digits that answer an open question for a number are taken as that."""
    typed = reply.talk.typed
    reply.remember(typed=None)
    if event.tries_left <= 0:
        reply.remember(proving=None, wanted=None)
        reply.say("code_over")
    elif typed and reply.case is not None and {"order", "reference"} & set(reply.talk.pending):
        answered(reply, Said(text=typed, act="provide", type="otro"))
    else:
        reply.say("code_wrong")


def opened(reply: Reply, event: LinkOpened) -> None:
    """A link can be sent to anybody: only who says that they asked for it is joined to the person who did."""
    reply.remember(linking=event.proof)
    reply.say("link_confirm", *LINK, blanks={"channel": _named(event.kind)})
    reply.remember(pending=("link", *reply.talk.pending))


def answer_link(reply: Reply, said: Said) -> bool:
    """The answer to "was that you?". A late press counts; a bare yes only as long as nothing else was said."""
    asked = "link" in reply.talk.pending
    _leave(reply, "link")
    yes = said.pressed == "link:yes" or (asked and said.pressed is None and said.act == "affirm")
    no = said.pressed == "link:no" or (asked and said.pressed is None and said.act == "deny")
    if not yes and not no:
        return False
    proof = reply.talk.linking
    reply.remember(linking=None)
    if no:
        reply.say("link_refused")
    elif proof is None:
        link_over(reply)
    else:
        reply.do(FollowLink(proof))
    return True


def link_over(reply: Reply) -> None:
    """The link does not serve any more."""
    reply.say("link_expired")


def linked(reply: Reply, event: ChannelLinked) -> None:
    """Another channel is proved to be theirs."""
    reply.know(contacts={**reply.profile.contacts, event.kind: True})
    _leave(reply, "contact", "address", "channel", "own_number")
    reply.remember(reachable=True)
    prefer(reply, event.kind, event.address or None)  # a link is made for nobody who did not wish for it


def _leave(reply: Reply, *questions: str) -> None:
    reply.remember(pending=tuple(slot for slot in reply.talk.pending if slot not in questions))


def _named(kind: str) -> Word:
    """What a kind of channel is called; one that came later than this catalogue is "this channel"."""
    return Word(f"channel_{kind if kind in NAMED else 'here'}")
