"""By which channel we write: the wish is taken at any time, and an address is used once it is proved."""

import re

from bot.dialogue.effects import AddContact, Choice, FollowLink, LinkTelegram, SendCode, SetPreferred, Word
from bot.dialogue.events import ChannelLinked, CodeFailed, CodeVerified, LinkOpened, Said
from bot.dialogue.gathering import answered, ask_again
from bot.dialogue.reply import Reply

NAMED = frozenset({"web", "webchat", "email", "telegram", "whatsapp", "sms", "slack", "memory"})
LINK = (Choice("button_link_yes", "link:yes"), Choice("button_link_no", "link:no"))
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
    _leave(reply, "channel", "address", "contact")
    if (kind == talk.channel and address is None) or (reply.profile.contacts.get(kind) and address is None):
        prefer(reply, kind)
    elif kind not in talk.channels or kind not in ("email", "telegram"):
        reply.say("channel_unavailable", blanks={"channel": _named(kind)})
    elif kind == "telegram":
        reply.remember(wanted="telegram")
        reply.do(LinkTelegram())
        reply.say("telegram_link")
    elif address is not None:
        reply.remember(wanted="email")
        prove(reply, address)
    else:
        reply.remember(wanted="email")
        reply.say("ask_address")
        reply.await_answer("address", *reply.talk.pending)


def prefer(reply: Reply, kind: str, address: str | None = None) -> None:
    """From now on by this channel."""
    reply.know(preferred=kind)
    reply.remember(wanted=None)
    reply.do(SetPreferred(kind, address))
    reply.say("preferred_set", blanks={"channel": _named(kind)})


def prove(reply: Reply, address: str) -> None:
    """An e-mail address is anybody's until a code that went there comes back."""
    _leave(reply, "channel", "address", "contact")
    if "email" not in reply.talk.channels:  # this installation sends no mail: nothing is promised
        reply.do(AddContact("email", address))
        reply.say("address_noted", blanks={"email": address})
        return
    reply.remember(proving=address, reachable=True)
    reply.do(AddContact("email", address), SendCode(address))
    reply.say("code_sent", blanks={"email": address})


def give_contact(reply: Reply, said: Said) -> bool:
    """An answer to "where can we write to you?": an address or a channel. False: there was none in it."""
    address, phone = email_in(said), phone_in(said)
    if address is not None:
        prove(reply, address)
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


def verified(reply: Reply, event: CodeVerified) -> None:
    """The address is theirs."""
    reply.know(contacts={**reply.profile.contacts, event.kind: True})
    reply.remember(proving=None, typed=None)
    if reply.talk.wanted == event.kind:
        prefer(reply, event.kind, event.address)
    else:
        reply.say("address_verified", blanks={"email": event.address})
    ask_again(reply)


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
    _leave(reply, "contact", "address", "channel")
    reply.remember(reachable=True)
    prefer(reply, event.kind, event.address or None)  # a link is made for nobody who did not wish for it


def _leave(reply: Reply, *questions: str) -> None:
    reply.remember(pending=tuple(slot for slot in reply.talk.pending if slot not in questions))


def _named(kind: str) -> Word:
    """What a kind of channel is called; one that came later than this catalogue is "this channel"."""
    return Word(f"channel_{kind if kind in NAMED else 'here'}")
