"""Translate what Slack tells us. Pure: no network, no clock but the one that is given."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import unescape
from typing import Any

from channels.channel import Address, Arrival, DeliveryReport, DeskAct, Edited, Ignored, Inbound, Media, Opened
from channels.storable import storable

Json = Mapping[str, Any]

CHOICE = "choice"  # action ids of our buttons under messages: choice:0, choice:1 …
VERB = "desk"  # action ids of a card's buttons, and callback ids of its forms: desk:take …
WORDS = "words"  # block and action id of the box in a form
NAME_LIMIT = 200
_READ = (None, "file_share", "thread_broadcast", "me_message")
_MARK = re.compile(r"<([@#!]?)([^>|]*)(?:\|([^>]*))?>")


@dataclass(frozen=True)
class Views:
    """What decides how a message is read: our accounts and places."""

    account: str
    desk: str | None = None  # the channel where agents work
    open_channels: frozenset[str] = field(default_factory=frozenset)  # where every message is meant for us
    me: str | None = None  # our own user id, if Slack has told it


def read(body: Json, views: Views, now: datetime) -> Iterator[Arrival]:
    """What there is in the body of one call or one envelope of Socket Mode."""
    kind = body.get("type")
    if kind == "event_callback":
        yield _event(body, views)
    elif kind == "block_actions":
        yield from _pressed(body, views, now)
    elif kind == "view_submission":
        yield _written(body, views, now)
    else:
        yield Ignored(why=f"slack: {str(kind)[:40]}, which we do not read")


def provider_id(channel: str, ts: str, thread_ts: str | None = None) -> str:
    """A message's time stamp names it in its channel; the thread is kept with it, as an answer must go there."""
    return f"{channel}:{ts}:{thread_ts}" if thread_ts and thread_ts != ts else f"{channel}:{ts}"


def place(provider_id: str) -> tuple[str, str | None]:
    """The channel of a provider id, and the thread that an answer belongs in."""
    channel, _, rest = provider_id.partition(":")
    ts, _, thread = rest.partition(":")
    return channel, thread or (ts if not channel.startswith("D") else None) or None


def moment(ts: Any) -> datetime:
    """Slack's time stamps are seconds with six places."""
    return datetime.fromtimestamp(float(ts), UTC)


def plain(text: str, me: str | None = None) -> str:
    """Slack's mark-up as a person would read it; our own name is left out."""

    def shown(mark: re.Match[str]) -> str:
        sign, target, label = mark.groups()
        if sign == "@":
            return "" if target == me else f"@{label or target}"
        if sign == "#":
            return f"#{label or target}"
        if sign == "!":
            return label or f"@{target.partition('^')[0]}"
        address = target.removeprefix("mailto:").removeprefix("tel:")
        return address if label in (None, "", address) else f"{label} ({address})"

    return storable(unescape(_MARK.sub(shown, text))).strip()


def _event(body: Json, views: Views) -> Arrival:
    event = body.get("event") or {}
    key, me = str(body.get("event_id") or ""), _bot_user(body) or views.me
    if not key:
        return Ignored(why="slack: an event without id")
    kind, subtype = event.get("type"), event.get("subtype")
    if event.get("bot_id") or subtype == "bot_message" or (me and event.get("user") == me):
        return Ignored(why="slack: written by a bot")
    if kind == "assistant_thread_started":
        return _opened(event, body, views)
    if kind == "reaction_added":
        return _reaction(event, views, me)
    if kind == "message" and subtype == "message_changed":
        return _edited(event, body, views, key, me)
    if kind not in ("message", "app_mention") or subtype not in _READ or not event.get("user"):
        return Ignored(why=f"slack: {kind} {subtype or ''}".strip())
    if event.get("channel") == views.desk:
        return _said_at_the_desk(event, views, key, me)
    return _message(event, body, views, key, me)


def _opened(event: Json, body: Json, views: Views) -> Arrival:
    """The assistant pane, in which a new thread stands empty."""
    pane = event.get("assistant_thread") or {}
    user, channel, thread = (str(pane.get(name) or "") for name in ("user_id", "channel_id", "thread_ts"))
    if not (user and channel and thread):
        return Ignored(why="slack: a thread without a place")
    sender = Address(views.account, _sender({"user": user}, body))
    return Opened(sender=sender, extra={"channel": channel, "thread": thread, "user": user})


def _message(event: Json, body: Json, views: Views, key: str, me: str | None) -> Arrival:
    channel, ts, thread = str(event["channel"]), str(event["ts"]), event.get("thread_ts")
    private = event.get("channel_type") == "im" or channel.startswith("D")
    if why := _not_for_us(event, channel, views, me, private):
        return Ignored(why=why)
    text, media = plain(event.get("text") or "", me), tuple(_media(event.get("files")))
    if not text and not media:
        return Ignored(why="slack: a message without text or file")
    root = thread if private else (thread or ts)
    return Inbound(
        key=key,
        sender=Address(views.account, _sender(event, body)),
        text=text,
        sent_at=moment(ts),
        name=_profile_name(event.get("user_profile")),
        media=media,
        thread=f"{channel}:{root}" if root else channel,
        replies_to=(provider_id(channel, str(thread)),) if thread and thread != ts else (),
        aside=not private and event["type"] == "message" and channel not in views.open_channels,
        provider_id=provider_id(channel, ts, thread),
        extra={"channel": channel, "pane": bool(private and thread), "user": event["user"], "thread": root},
    )


def _not_for_us(event: Json, channel: str, views: Views, me: str | None, private: bool) -> str | None:
    """In a shared channel people talk to each other: ours is what names us, or all of it where that is configured."""
    if private:
        return None
    named = bool(me and f"<@{me}" in (event.get("text") or ""))
    if channel in views.open_channels:
        return "slack: it comes as a message as well" if event["type"] == "app_mention" else None
    if event["type"] == "app_mention":
        return None
    if named:
        return "slack: it comes as a mention as well"
    return None if event.get("thread_ts") else "slack: not written to us"


def _edited(event: Json, body: Json, views: Views, key: str, me: str | None) -> Arrival:
    message, before = event.get("message") or {}, event.get("previous_message") or {}
    if message.get("bot_id") or not message.get("user") or message.get("user") == me:
        return Ignored(why="slack: a message of ours changed")
    files = tuple(_media(message.get("files")))
    more = {one.ref for one in files} - {one.ref for one in _media(before.get("files"))}
    if not more and ("edited" not in message or message.get("text") == before.get("text")):
        return Ignored(why="slack: a preview was added to a message, or a file of it was deleted")
    channel = str(event["channel"])
    if channel == views.desk:
        return Ignored(why="slack: what an agent wrote has left already")
    return Edited(
        key=key,
        original=provider_id(channel, str(message["ts"]), message.get("thread_ts")),
        sender=Address(views.account, _sender(message, body)),
        text=plain(message.get("text") or "", me),
        sent_at=moment((message.get("edited") or {}).get("ts") or event["event_ts"]),
        media=files,
    )


def _reaction(event: Json, views: Views, me: str | None) -> Arrival:
    """A 👍 on a message of ours: it was read."""
    item = event.get("item") or {}
    if item.get("type") != "message" or not me or event.get("item_user") != me or item.get("channel") == views.desk:
        return Ignored(why="slack: a reaction to somebody else")
    return DeliveryReport(
        account=views.account,
        provider_id=provider_id(str(item["channel"]), str(item["ts"])),
        state="read",
        at=moment(event["event_ts"]),
    )


def _said_at_the_desk(event: Json, views: Views, key: str, me: str | None) -> Arrival:
    thread = event.get("thread_ts")
    if not thread or thread == event.get("ts"):
        return Ignored(why="slack: agents among themselves")
    if event["type"] == "app_mention":
        return Ignored(why="slack: it comes as a message as well")
    return DeskAct(
        key=key,
        account=views.account,
        who=str(event["user"]),
        thread=f"{views.desk}:{thread}",
        verb="say",
        text=plain(event.get("text") or "", me),
        media=tuple(_media(event.get("files"))),
        at=moment(event["ts"]),
    )


def _pressed(body: Json, views: Views, now: datetime) -> Iterator[Arrival]:
    container, user = body.get("container") or {}, body.get("user") or {}
    channel, ts = container.get("channel_id"), container.get("message_ts")
    for action in body.get("actions") or ():
        name, _, what = str(action.get("action_id") or "").partition(":")
        if not (channel and ts and user.get("id")) or name not in (CHOICE, VERB):
            yield Ignored(why="slack: a button that is not ours")
            continue
        key = f"press:{channel}:{ts}:{user['id']}:{action.get('action_ts') or body.get('trigger_id')}"
        if name == VERB:
            yield DeskAct(
                key=key,
                account=views.account,
                who=str(user["id"]),
                thread=f"{channel}:{ts}",
                verb=what,
                handle=body.get("trigger_id"),
                at=now,
            )
        else:
            yield _choice(body, action, views, key, now)


def _choice(body: Json, action: Json, views: Views, key: str, now: datetime) -> Inbound:
    container, message = body["container"], body.get("message") or {}
    channel, ts = str(container["channel_id"]), str(container["message_ts"])
    thread = container.get("thread_ts") or message.get("thread_ts")
    root = thread if channel.startswith("D") else (thread or ts)
    return Inbound(
        key=key,
        sender=Address(views.account, _sender(body["user"], body)),
        text=storable(str((action.get("text") or {}).get("text") or "")),
        sent_at=now,
        name=storable(str(body["user"].get("name") or ""))[:NAME_LIMIT] or None,
        pressed=str(action.get("value") or ""),
        thread=f"{channel}:{root}" if root else channel,
        replies_to=(provider_id(channel, ts, thread),),
        extra={"channel": channel, "message": ts, "text": message.get("text") or "", "user": body["user"]["id"]},
    )


def _written(body: Json, views: Views, now: datetime) -> Arrival:
    """A form that was sent: its thread travels in the form."""
    view, user = body.get("view") or {}, body.get("user") or {}
    name, _, verb = str(view.get("callback_id") or "").partition(":")
    thread = str(view.get("private_metadata") or "")
    if name != VERB or not thread or not user.get("id"):
        return Ignored(why="slack: a form that is not ours")
    box = ((view.get("state") or {}).get("values") or {}).get(WORDS) or {}
    return DeskAct(
        key=f"form:{view.get('id')}",
        account=views.account,
        who=str(user["id"]),
        thread=thread,
        verb=verb,
        text=storable(str((box.get(WORDS) or {}).get("value") or "")).strip(),
        at=now,
    )


def _sender(event: Json, body: Json) -> str:
    """Team and user: with Slack Connect people come from other workspaces, and user ids belong to those."""
    team = event.get("user_team") or event.get("source_team") or event.get("team_id") or event.get("team")
    if not team:
        given = body.get("team_id") or body.get("team") or ""
        team = given.get("id", "") if isinstance(given, Mapping) else given
    return f"{team}:{event.get('user') or event.get('id')}"


def _bot_user(body: Json) -> str | None:
    ours = [one for one in body.get("authorizations") or () if one.get("is_bot")]
    return str(ours[0]["user_id"]) if ours and ours[0].get("user_id") else None


def _profile_name(profile: Json | None) -> str | None:
    given = (profile or {}).get("real_name") or (profile or {}).get("display_name")
    return storable(str(given))[:NAME_LIMIT] if given else None


def _media(files: Any) -> Iterator[Media]:
    for file in files or ():
        if file.get("mode") in ("tombstone", "hidden_by_limit"):
            continue
        name = file.get("name") or file.get("title")
        yield Media(
            name=storable(str(name)) if name else None,
            declared_type=file.get("mimetype"),
            size=file.get("size") if isinstance(file.get("size"), int) else None,
            ref=str(file.get("id")),  # its address is asked for when it is fetched: a shared file comes without
        )
