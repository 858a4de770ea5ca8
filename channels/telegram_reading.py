"""Translate what Telegram sends into arrivals. Pure: no network, no clock."""

import re
from datetime import datetime, timedelta
from typing import Any

from telegram import CallbackQuery, ChatMemberUpdated, Message, MessageEntity, MessageReactionUpdated, Update, User
from telegram.constants import ChatMemberStatus, ChatType

from channels.channel import Address, Arrival, Blocked, Cursor, DeliveryReport, Edited, Ignored, Inbound, Media
from channels.storable import storable

KINDS = (
    Update.MESSAGE,
    Update.EDITED_MESSAGE,
    Update.CALLBACK_QUERY,
    Update.MY_CHAT_MEMBER,
    Update.MESSAGE_REACTION,
)
"""What we ask Telegram for. It remembers the list, so it goes with every poll."""

REMEMBERED = timedelta(hours=24)
"""How long Telegram keeps what we have not confirmed."""

_START = re.compile(r"/start(?:@\w+)?(?:\s+(?P<payload>\S+))?\s*", re.ASCII)


def read(update: Update, *, account: str, now: datetime) -> Arrival:
    """Translate one update. `now` dates the press of a button, for which Telegram gives no time."""
    cursor = {"offset": update.update_id + 1, "at": int(now.timestamp())}
    if update.message:
        return _message(update.update_id, update.message, account, cursor)
    if update.edited_message:
        return _edited(update.update_id, update.edited_message, account, cursor)
    if update.callback_query:
        return _pressed(update.update_id, update.callback_query, account, cursor, now)
    if update.my_chat_member:
        return _membership(update.my_chat_member, account, cursor)
    if update.message_reaction:
        return _reaction(update.message_reaction, account, cursor)
    return Ignored(why="telegram: a kind of update that we do not read", cursor=cursor)


def offset(since: Cursor | None, now: datetime) -> int | None:
    """Where to go on asking. None: at the oldest that Telegram still has.

    After a week of silence Telegram goes on counting from a number of its choice, perhaps a lower one: an old offset
    would confirm, unseen, all that came since. So one that Telegram has nothing left from is not used; what comes
    twice is known by its key.
    """
    if since is None:
        return None
    at = since.get("at")
    old = at is not None and now.timestamp() - at > REMEMBERED.total_seconds()
    return None if old else int(since["offset"])


def provider_id(chat: int, message: int) -> str:
    """Message numbers count per chat, so the chat is part of the name."""
    return f"{chat}:{message}"


def _message(number: int, message: Message, account: str, cursor: Cursor) -> Arrival:
    user = message.from_user
    if user is None or (why := _unwanted(message.chat.type, user)):
        return Ignored(why=f"telegram: {why if user else 'nobody wrote it'}", cursor=cursor)
    text, media, start = _words(message), _media(message), None
    if command := _START.fullmatch(text):
        text, start = "/start", command["payload"] or ""  # the payload is a secret: it does not belong in the text
    if not text and not media:
        return Ignored(why="telegram: a message without text or file", cursor=cursor)
    answered = message.reply_to_message
    return Inbound(
        key=str(number),
        sender=Address(account, str(message.chat.id)),
        text=text,
        sent_at=message.date,
        name=storable(user.full_name),
        media=media,
        start=start,
        replies_to=(provider_id(message.chat.id, answered.message_id),) if answered else (),
        language=_language(user),
        provider_id=provider_id(message.chat.id, message.message_id),
        extra=_extra(message),
        voice=not text and bool(message.voice or message.video_note),
        phone=_own_phone(message, user),
        cursor=cursor,
    )


def _edited(number: int, message: Message, account: str, cursor: Cursor) -> Arrival:
    user = message.from_user
    if user is None or (why := _unwanted(message.chat.type, user)):
        return Ignored(why=f"telegram: {why if user else 'nobody wrote it'}", cursor=cursor)
    if message.location:
        return Ignored(why="telegram: a live location moved", cursor=cursor)
    return Edited(
        key=str(number),
        original=provider_id(message.chat.id, message.message_id),
        sender=Address(account, str(message.chat.id)),
        text=_words(message),
        sent_at=message.edit_date or message.date,
        media=_media(message),
        cursor=cursor,
    )


def _pressed(number: int, query: CallbackQuery, account: str, cursor: Cursor, now: datetime) -> Arrival:
    under = query.message
    if under is None or query.data is None:
        return Ignored(why="telegram: a button that is not under a message of ours", cursor=cursor)
    if why := _unwanted(under.chat.type, query.from_user):
        return Ignored(why=f"telegram: {why}", cursor=cursor)
    return Inbound(
        key=str(number),
        sender=Address(account, str(under.chat.id)),
        text=_label(under, query.data),
        sent_at=now,
        name=storable(query.from_user.full_name),
        pressed=query.data,
        replies_to=(provider_id(under.chat.id, under.message_id),),
        language=_language(query.from_user),
        extra={"callback": query.id, "chat": under.chat.id, "message": under.message_id},
        cursor=cursor,
    )


def _membership(change: ChatMemberUpdated, account: str, cursor: Cursor) -> Arrival:
    if why := _unwanted(change.chat.type, change.from_user):
        return Ignored(why=f"telegram: {why}", cursor=cursor)
    gone = change.new_chat_member.status in (ChatMemberStatus.BANNED, ChatMemberStatus.LEFT)
    return Blocked(address=Address(account, str(change.chat.id)), blocked=gone, at=change.date, cursor=cursor)


def _reaction(change: MessageReactionUpdated, account: str, cursor: Cursor) -> Arrival:
    """Whoever puts a thumb under a message of ours has read it. (Under one of his own, it speaks of none of ours.)"""
    if change.user is None or (why := _unwanted(change.chat.type, change.user)):
        return Ignored(why=f"telegram: {why if change.user else 'nobody did it'}", cursor=cursor)
    if not change.new_reaction:
        return Ignored(why="telegram: a reaction was taken back", cursor=cursor)
    return DeliveryReport(
        account=account,
        provider_id=provider_id(change.chat.id, change.message_id),
        state="read",
        at=change.date,
        recipient=str(change.chat.id),
        cursor=cursor,
    )


def _unwanted(chat_type: str, user: User) -> str | None:
    if user.is_bot:
        return "written by a bot"
    return None if chat_type == ChatType.PRIVATE else "not a private chat"


def _words(message: Message) -> str:
    """The text; for what has none, what a person would read in its place."""
    if written := message.text or message.caption:
        return storable("\n".join([written, *_hidden_links(message, written)]))
    if message.contact:
        name = f"{message.contact.first_name} {message.contact.last_name or ''}".strip()
        return storable(f"{name} {_phone(message.contact.phone_number)}")
    if message.location:
        place = f"{message.location.latitude:.6f}, {message.location.longitude:.6f}"
        return storable(f"{message.venue.title}, {message.venue.address} ({place})" if message.venue else place)
    if message.poll:
        return storable(message.poll.question)
    if message.checklist:
        return storable("\n".join([message.checklist.title, *(f"- {one.text}" for one in message.checklist.tasks)]))
    if shown := message.sticker or message.dice:
        return shown.emoji or ""
    return ""


def _hidden_links(message: Message, written: str) -> list[str]:
    """Where a link leads that stands behind other words: the proof in a forwarded fraud."""
    entities = message.entities or message.caption_entities
    links = dict.fromkeys(one.url for one in entities if one.type == MessageEntity.TEXT_LINK and one.url)
    return [link for link in links if link not in written]


def _media(message: Message) -> tuple[Media, ...]:
    """The one file of a message. `document` comes first: an animation carries both."""
    if message.photo:
        largest = max(message.photo, key=lambda size: size.width * size.height)
        return (_file(largest, f"photo-{message.message_id}.jpg", "image/jpeg"),)
    if file := message.document or message.audio or message.video:
        return (_file(file, file.file_name, file.mime_type),)
    if message.voice:
        return (_file(message.voice, f"voice-{message.message_id}.ogg", message.voice.mime_type or "audio/ogg"),)
    if message.video_note:
        return (_file(message.video_note, f"video-{message.message_id}.mp4", "video/mp4"),)
    if message.sticker and not message.sticker.emoji:
        return (_file(message.sticker, f"sticker-{message.message_id}", None),)
    return ()


def _file(file: Any, name: str | None, declared_type: str | None) -> Media:
    name = storable(name) if name else None
    return Media(name=name, declared_type=declared_type, size=file.file_size, ref=file.file_id)


def _extra(message: Message) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if message.media_group_id:
        extra["album"] = message.media_group_id
    if message.location:
        extra["location"] = {"latitude": message.location.latitude, "longitude": message.location.longitude}
    if message.contact:
        extra["phone"] = _phone(message.contact.phone_number)
    return extra


def _own_phone(message: Message, user: User) -> str | None:
    """The number on the sender's own card. Anybody's card can be sent, sent on, or made up by an inline bot."""
    card = message.contact
    if card is None or card.user_id != user.id or message.forward_origin or message.via_bot:
        return None
    return _phone(card.phone_number)


def _language(user: User) -> str | None:
    """`es` of `es-419`: the country is none of our business, and would hide the language."""
    return (user.language_code or "").partition("-")[0].lower() or None


def _phone(number: str) -> str:
    digits = re.sub(r"\D", "", number)
    return f"+{digits}"


def _label(under: Any, payload: str) -> str:
    """The words on the button that was pressed, as far as Telegram still shows them."""
    markup = getattr(under, "reply_markup", None)  # a message that is too old comes without
    rows = markup.inline_keyboard if markup else ()
    return next((button.text for row in rows for button in row if button.callback_data == payload), "")
