"""The chats of one bot at Telegram, without the Bot API: who writes, what happens, and how the bot is told of it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

import httpx

from demo.provider import Picture, Provider

AGAIN = 1.0  # seconds until a webhook that was not answered well is called again


@dataclass
class Post:
    """A message. `mine`: the person wrote it, else the bot did; `buttons`: label and payload."""

    chat: int
    number: int
    mine: bool
    text: str
    buttons: list[tuple[str, str]] = field(default_factory=list)
    files: Sequence[Picture] = ()
    taken: bool = False  # the bot has confirmed it


class Chats(Provider):
    """People are known by the number of their chat; whoever is not known does not exist."""

    kind = "telegram"

    def __init__(self, *, now: Callable[[], datetime], people: Mapping[int, str] | None = None) -> None:
        super().__init__(now=now)
        self.username = "nube_clara_bot"
        self.blocked: set[int] = set()
        self.webhook: dict[str, Any] = {}
        self.webhook_fault: str | None = None
        self.chats: dict[int, str] = dict(people or {})
        self.posts: dict[tuple[int, int], Post] = {}
        self.files: dict[str, Picture] = {}
        self._updates: list[dict[str, Any]] = []
        self._handed: list[dict[str, Any]] = []
        self._update_ids, self._message_ids, self._ids = count(100_001), count(1), count(1)
        self._changed = asyncio.Event()
        self._closed = False
        self._pushing: asyncio.Task[None] | None = None

    # what a person does

    def write(self, chat: int, text: str, *, file: tuple[str, str, bytes] | None = None, reply_to: int = 0) -> int:
        """The person writes; the number of the message."""
        number = next(self._message_ids)
        message: dict[str, Any] = self._head(chat, number) | ({"caption": text} if file and text else {"text": text})
        pictures = []
        if file:
            message = {key: value for key, value in message.items() if key != "text"} | self._media(Picture(*file))
            pictures = [Picture(*file)]
        elif text.startswith("/"):
            size = len(text.split()[0])
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": size}]
        if reply_to and (answered := self.posts.get((chat, reply_to))):
            message["reply_to_message"] = self._head(chat, reply_to) | {"text": answered.text}
        self._stands(Post(chat, number, True, text, files=pictures))
        self.update({"message": message})
        return number

    def start(self, chat: int, payload: str = "") -> int:
        """The person follows a link to the bot, or finds it."""
        return self.write(chat, f"/start {payload}".strip())

    def press(self, chat: int, message_id: int, payload: str) -> None:
        """The person presses a button under a message; it waits until the bot answers."""
        post = self.posts.get((chat, message_id))
        label = next((label for label, given in post.buttons if given == payload), "") if post else ""
        under = self._head(chat, message_id) | {"from": self._bot(), "text": post.text if post else ""}
        if post and post.buttons:
            rows = [[{"text": one, "callback_data": given}] for one, given in post.buttons]
            under["reply_markup"] = {"inline_keyboard": rows}
        query = {"id": str(next(self._ids)), "from": self._user(chat), "message": under, "chat_instance": "1"}
        self.tell("pressed", f"{self.name_of(chat)}: {label or payload}")
        self.update({"callback_query": query | {"data": payload}})

    def edit(self, chat: int, message_id: int, text: str, *, file: tuple[str, str, bytes] | None = None) -> None:
        """The person changes a message: its words, and with `file` its picture or document."""
        if post := self.posts.get((chat, message_id)):
            post.text = text
            self.changed(post)
        moment = int(self.now().timestamp())
        now = {"text": text} if file is None else {"caption": text} | self._media(Picture(*file))
        self.update({"edited_message": self._head(chat, message_id) | {"edit_date": moment} | now})

    def block(self, chat: int, blocked: bool = True) -> None:
        """The person blocks the bot, or lets it in again."""
        (self.blocked.add if blocked else self.blocked.discard)(chat)
        states = [{"status": "member", "user": self._bot()}, {"status": "kicked", "user": self._bot(), "until_date": 0}]
        old, new = states if blocked else states[::-1]
        change = {"chat": self._chat(chat), "from": self._user(chat), "date": int(self.now().timestamp())}
        self.update({"my_chat_member": change | {"old_chat_member": old, "new_chat_member": new}})

    def share_contact(self, chat: int, phone: str, *, own: bool = True) -> None:
        """The person shares a card with a number: the own one, or somebody else's."""
        card = {"phone_number": phone, "first_name": self.name_of(chat), "user_id": chat if own else chat + 1}
        number = next(self._message_ids)
        self._stands(Post(chat, number, True, phone))
        self.update({"message": self._head(chat, number) | {"contact": card}})

    def update(self, content: dict[str, Any]) -> None:
        """Anything that happens, as Telegram tells it."""
        self._updates.append({"update_id": next(self._update_ids), **content})
        self._changed.set()

    def repeat(self) -> None:
        """Hand out once more what was handed out last, as after an answer that got lost."""
        self._updates = [*self._handed, *self._updates]
        self._changed.set()

    @property
    def pending(self) -> int:
        """Updates that the bot has not confirmed."""
        return len(self._updates)

    def close(self) -> None:
        """End the calls that wait."""
        self._closed = True
        self._changed.set()
        if self._pushing:
            self._pushing.cancel()

    # what the page's half shows of it; the protocol alone shows nothing

    def appeared(self, post: Post) -> None:
        """A message stands there."""

    def changed(self, post: Post) -> None:
        """It says something else now, or has other buttons."""

    def took(self, post: Post) -> None:
        """The bot has a person's message."""

    # how the bot is told

    def name_of(self, chat: int) -> str:
        """The person's first name; whoever writes is known from then on."""
        return self.chats.setdefault(chat, str(chat))

    def _stands(self, post: Post) -> None:
        self.name_of(post.chat)
        self.posts[post.chat, post.number] = post
        self.appeared(post)

    def _confirm(self, offset: int) -> None:
        if not offset:
            return
        for update in [one for one in self._updates if one["update_id"] < offset]:
            self._updates.remove(update)
            self._delivered(update)

    def _delivered(self, update: dict[str, Any]) -> None:
        message = update.get("message", {})
        post = self.posts.get((message.get("chat", {}).get("id", 0), message.get("message_id", 0)))
        if post and not post.taken:
            post.taken = True
            self.took(post)

    async def _push(self) -> None:
        """Call the webhook, one update after the other, again and again until it is answered well."""
        headers = {"X-Telegram-Bot-Api-Secret-Token": self.webhook.get("secret_token", "")}
        async with httpx.AsyncClient(timeout=10) as client:
            while not self._closed:
                if not self._updates:
                    self._changed.clear()
                    await self._changed.wait()
                    continue
                self.webhook_fault = await _pushed(client, self.webhook["url"], headers, self._updates[0])
                if self.webhook_fault is None:
                    self._delivered(self._updates.pop(0))
                else:
                    self.tell("hook_failed", self.webhook_fault, "bad")
                    await asyncio.sleep(AGAIN)

    def _head(self, chat: int, number: int) -> dict[str, Any]:
        moment = int(self.now().timestamp())
        return {"message_id": number, "date": moment, "chat": self._chat(chat), "from": self._user(chat)}

    def _media(self, picture: Picture) -> dict[str, Any]:
        file_id = f"file{next(self._ids)}"
        self.files[file_id] = picture
        told = {"file_id": file_id, "file_unique_id": file_id, "file_size": len(picture.content)}
        if picture.type.startswith("image/"):
            return {"photo": [told | {"width": 90, "height": 90}]}
        if picture.type == "audio/ogg":
            return {"voice": told | {"duration": 3, "mime_type": picture.type}}
        return {"document": told | {"file_name": picture.name, "mime_type": picture.type}}

    def _chat(self, chat: int) -> dict[str, Any]:
        return {"id": chat, "type": "private", "first_name": self.name_of(chat)}

    def _user(self, chat: int) -> dict[str, Any]:
        return {"id": chat, "is_bot": False, "first_name": self.name_of(chat), "language_code": "es"}

    def _bot(self) -> dict[str, Any]:
        return {"id": 1, "is_bot": True, "first_name": "Nube", "username": self.username}


async def _pushed(client: httpx.AsyncClient, url: str, headers: Mapping[str, str], update: Any) -> str | None:
    """What went wrong, None if nothing did."""
    try:
        response = await client.post(url, json=update, headers=headers)
    except httpx.HTTPError as error:
        return type(error).__name__
    return None if response.is_success else f"Wrong response from the webhook: {response.status_code}"
