"""A stand-in of Telegram: the Bot API for one bot, its limits, and the people who write to it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from demo.pace import Throttle
from demo.provider import Failing, Picture
from demo.standin import Bubble, Diary, Phone, StandIn, State
from demo.telegram_limits import Refused, caption, keyboard, limited, payload_fits

AGAIN = 1.0  # seconds until a webhook that was not answered well is called again


class TelegramStandIn(StandIn):
    """One bot at Telegram. People are known by the number of their chat; whoever is not known does not exist."""

    kind = "telegram"

    def __init__(
        self,
        token: str = "1:demo",  # noqa: S107  of a bot that exists nowhere
        *,
        now: Callable[[], datetime],
        people: Mapping[int, str] | None = None,
        diary: Diary | None = None,
        pace: timedelta = timedelta(seconds=1),
    ) -> None:
        super().__init__(now=now, diary=diary)
        self.token = token
        self.username = "nube_clara_bot"
        self.blocked: set[int] = set()
        self.webhook: dict[str, Any] = {}
        self.webhook_fault: str | None = None
        self._throttle = Throttle(now, pace)
        self._updates: list[dict[str, Any]] = []
        self._handed: list[dict[str, Any]] = []
        self._files: dict[str, Picture] = {}
        self._update_ids, self._message_ids, self._ids = count(100_001), count(1), count(1)
        self._changed = asyncio.Event()
        self._closed = False
        self._pushing: asyncio.Task[None] | None = None
        for chat, name in (people or {}).items():
            self.phone(str(chat), name)
        self.app = Starlette(
            routes=[
                Route("/bot{token}/{method}", self._call, methods=["GET", "POST"]),
                Route("/file/bot{token}/{path:path}", self._file),
            ]
        )
        self.app.state.closing = [self.close]

    # what a person does

    def write(self, chat: int, text: str, *, file: tuple[str, str, bytes] | None = None, reply_to: int = 0) -> int:
        """The person writes; the number of the message."""
        number = next(self._message_ids)
        message: dict[str, Any] = self._head(chat, number) | ({"caption": text} if file and text else {"text": text})
        phone, pictures = self._phone(chat), []
        if file:
            message = {key: value for key, value in message.items() if key != "text"} | self._media(Picture(*file))
            pictures = [Picture(*file)]
        elif text.startswith("/"):
            size = len(text.split()[0])
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": size}]
        if reply_to and (answered := phone.bubble(str(reply_to))):
            message["reply_to_message"] = self._head(chat, reply_to) | {"text": answered.text}
        self.show(phone, Bubble(id=str(number), mine=True, text=text, at=self.now(), files=pictures))
        self.update({"message": message})
        return number

    def start(self, chat: int, payload: str = "") -> int:
        """The person follows a link to the bot, or finds it."""
        return self.write(chat, f"/start {payload}".strip())

    def press(self, chat: int, message_id: int, payload: str) -> None:
        """The person presses a button under a message; it waits until the bot answers."""
        bubble = self._phone(chat).bubble(str(message_id))
        label = next((label for label, given in bubble.buttons if given == payload), "") if bubble else ""
        under = self._head(chat, message_id) | {"from": self._bot(), "text": bubble.text if bubble else ""}
        if bubble and bubble.buttons:
            rows = [[{"text": one, "callback_data": given}] for one, given in bubble.buttons]
            under["reply_markup"] = {"inline_keyboard": rows}
        query = {"id": str(next(self._ids)), "from": self._user(chat), "message": under, "chat_instance": "1"}
        self.diary.write(self.kind, "pressed", f"{self._phone(chat).name}: {label or payload}")
        self.update({"callback_query": query | {"data": payload}})

    def edit(self, chat: int, message_id: int, text: str, *, file: tuple[str, str, bytes] | None = None) -> None:
        """The person changes a message: its words, and with `file` its picture or document."""
        if bubble := self._phone(chat).bubble(str(message_id)):
            bubble.text = text
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
        card = {"phone_number": phone, "first_name": self._phone(chat).name, "user_id": chat if own else chat + 1}
        number = next(self._message_ids)
        self.show(self._phone(chat), Bubble(id=str(number), mine=True, text=phone, at=self.now()))
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

    # what the bot calls

    async def _call(self, request: Request) -> Response:
        if request.path_params["token"] != self.token:
            return _answer(401, "Unauthorized")
        method = request.path_params["method"]
        parameters, files = await _parameters(request)
        self.note(method, parameters, files)
        verb: Callable[[dict[str, Any], dict[str, Picture]], Awaitable[Any]] | None = getattr(
            self, f"_do_{method.lower()}", None
        )
        if verb is None:
            return _answer(404, "Not Found: method not found")
        try:
            return JSONResponse({"ok": True, "result": await verb(parameters, files)})
        except Refused as refused:
            return _answer(refused.code, refused.why, refused.retry_after)

    async def _do_getme(self, _: dict[str, Any], __: dict[str, Picture]) -> dict[str, Any]:
        self._must_be_up()
        return self._bot() | {"can_join_groups": False, "can_read_all_group_messages": False}

    async def _do_getupdates(self, given: dict[str, Any], _: dict[str, Picture]) -> list[dict[str, Any]]:
        self._must_be_up()
        if self.webhook.get("url"):
            raise Refused(409, "Conflict: can't use getUpdates method while webhook is active")
        self._confirm(int(given.get("offset", 0)))
        deadline = asyncio.get_running_loop().time() + min(float(given.get("timeout", 0)), 50)
        while not self._updates and not self._closed:
            self._changed.clear()
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
        self._handed = self._updates[: int(given.get("limit", 100))]
        return self._handed

    async def _do_setwebhook(self, given: dict[str, Any], _: dict[str, Picture]) -> bool:
        if not given.get("url"):
            return await self._do_deletewebhook(given, {})
        self.webhook = given
        if given.get("drop_pending_updates") == "true":
            self._updates.clear()
        if self._pushing is None or self._pushing.done():
            self._pushing = asyncio.create_task(self._push())
        return True

    async def _do_deletewebhook(self, given: dict[str, Any], _: dict[str, Picture]) -> bool:
        self.webhook = {}
        if self._pushing:
            self._pushing.cancel()
        return True

    async def _do_getwebhookinfo(self, _: dict[str, Any], __: dict[str, Picture]) -> dict[str, Any]:
        self._must_be_up()
        told = {"url": self.webhook.get("url", ""), "has_custom_certificate": False}
        fault = {"last_error_message": self.webhook_fault, "last_error_date": int(self.now().timestamp())}
        return told | {"pending_update_count": self.pending} | (fault if self.webhook_fault else {})

    async def _do_sendmessage(self, given: dict[str, Any], _: dict[str, Picture]) -> dict[str, Any]:
        phone = await self._may_send(given)
        return self._show(phone, limited(given.get("text", "")), given)

    async def _do_sendphoto(self, given: dict[str, Any], files: dict[str, Picture]) -> dict[str, Any]:
        phone = await self._may_send(given)
        picture = self._uploaded(given, files, "photo")
        if not picture.type.startswith("image/"):
            raise Refused(400, "Bad Request: IMAGE_PROCESS_FAILED")
        return self._show(phone, caption(given.get("caption", "")), given, picture)

    async def _do_senddocument(self, given: dict[str, Any], files: dict[str, Picture]) -> dict[str, Any]:
        phone = await self._may_send(given)
        return self._show(phone, caption(given.get("caption", "")), given, self._uploaded(given, files, "document"))

    async def _do_sendchataction(self, given: dict[str, Any], _: dict[str, Picture]) -> bool:
        self._known(given)
        return True

    async def _do_answercallbackquery(self, given: dict[str, Any], _: dict[str, Picture]) -> bool:
        return bool(given.get("callback_query_id"))

    async def _do_editmessagereplymarkup(self, given: dict[str, Any], _: dict[str, Picture]) -> dict[str, Any]:
        return self._edited(given, text=None)

    async def _do_editmessagetext(self, given: dict[str, Any], _: dict[str, Picture]) -> dict[str, Any]:
        return self._edited(given, text=limited(given.get("text", "")))

    async def _do_getfile(self, given: dict[str, Any], _: dict[str, Picture]) -> dict[str, Any]:
        self._must_be_up()
        found = self._files.get(given.get("file_id", ""))
        if found is None:
            raise Refused(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
        told = {"file_id": given["file_id"], "file_unique_id": given["file_id"], "file_size": len(found.content)}
        return told | {"file_path": f"files/{given['file_id']}"}

    async def _do_setmycommands(self, _: dict[str, Any], __: dict[str, Picture]) -> bool:
        return True

    async def _file(self, request: Request) -> Response:
        found = self._files.get(request.path_params["path"].removeprefix("files/"))
        if request.path_params["token"] != self.token or found is None:
            return _answer(404, "Not Found")
        return Response(found.content, media_type="application/octet-stream")

    async def _may_send(self, given: dict[str, Any]) -> Phone:
        """Look whether this may go out, as Telegram does. Raises Refused."""
        match self.fault():
            case Failing.DOWN:
                raise Refused(503, "Service Unavailable")
            case Failing.BUSY:
                raise Refused(429, "Too Many Requests: retry after 3", retry_after=3)
            case Failing.REFUSES:
                raise Refused(403, "Forbidden: bot was blocked by the user")
            case Failing.SLOW:
                await asyncio.sleep(self.slowness.total_seconds())
        phone = self._known(given)
        if int(phone.address) in self.blocked:
            raise Refused(403, "Forbidden: bot was blocked by the user")
        payload_fits(given)
        if wait := self._throttle.wait(phone.address):
            self.diary.write(self.kind, "answered_busy", tone="bad")
            raise Refused(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
        return phone

    def _known(self, given: dict[str, Any]) -> Phone:
        phone = self.phones.get(str(given.get("chat_id", "")))
        if phone is None:
            raise Refused(400, "Bad Request: chat not found")
        return phone

    def _must_be_up(self) -> None:
        if self.failing is Failing.DOWN and self._times is None:
            raise Refused(503, "Service Unavailable")

    def _show(self, phone: Phone, text: str, given: dict[str, Any], picture: Picture | None = None) -> dict[str, Any]:
        number, chat = next(self._message_ids), int(phone.address)
        buttons, markup = keyboard(given)
        files = [picture] if picture else []
        bubble = Bubble(id=str(number), mine=False, text=text, at=self.now(), buttons=buttons, files=files)
        self.show(phone, bubble)
        message = self._head(chat, number) | {"from": self._bot()}
        message |= self._media(picture) | ({"caption": text} if text else {}) if picture else {"text": text}
        return message | ({"reply_markup": markup} if markup and "inline_keyboard" in markup else {})

    def _edited(self, given: dict[str, Any], text: str | None) -> dict[str, Any]:
        bubble = self._known(given).bubble(str(given.get("message_id")))
        if bubble is None or bubble.mine:
            raise Refused(400, "Bad Request: message to edit not found")
        buttons, markup = keyboard(given)
        if buttons == bubble.buttons and text in (None, bubble.text):
            raise Refused(400, "Bad Request: message is not modified")
        bubble.buttons, bubble.text = buttons, bubble.text if text is None else text
        self.diary.changed(self.kind)
        message = self._head(int(given["chat_id"]), int(bubble.id)) | {"from": self._bot(), "text": bubble.text}
        return message | ({"reply_markup": markup} if markup else {})

    def _uploaded(self, given: dict[str, Any], files: dict[str, Picture], field: str) -> Picture:
        named = str(given.get(field, "")).removeprefix("attach://")
        found = files.get(named) or files.get(field) or self._files.get(named)
        if found is None:
            raise Refused(400, "Bad Request: wrong file identifier/HTTP URL specified")
        if len(found.content) > (10 if field == "photo" else 50) * 1024 * 1024:
            raise Refused(413, "Request Entity Too Large")
        return found

    def _confirm(self, offset: int) -> None:
        if not offset:
            return
        for update in [one for one in self._updates if one["update_id"] < offset]:
            self._updates.remove(update)
            self._delivered(update)

    def _delivered(self, update: dict[str, Any]) -> None:
        message = update.get("message", {})
        phone = self.phones.get(str(message.get("chat", {}).get("id")))
        bubble = phone.bubble(str(message.get("message_id"))) if phone else None
        if bubble and bubble.state is State.SENT:
            bubble.state = State.DELIVERED
            self.diary.write(self.kind, "taken")

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
                    self.diary.write(self.kind, "hook_failed", self.webhook_fault, tone="bad")
                    await asyncio.sleep(AGAIN)

    def _head(self, chat: int, number: int) -> dict[str, Any]:
        moment = int(self.now().timestamp())
        return {"message_id": number, "date": moment, "chat": self._chat(chat), "from": self._user(chat)}

    def _media(self, picture: Picture) -> dict[str, Any]:
        file_id = f"file{next(self._ids)}"
        self._files[file_id] = picture
        told = {"file_id": file_id, "file_unique_id": file_id, "file_size": len(picture.content)}
        if picture.type.startswith("image/"):
            return {"photo": [told | {"width": 90, "height": 90}]}
        if picture.type == "audio/ogg":
            return {"voice": told | {"duration": 3, "mime_type": picture.type}}
        return {"document": told | {"file_name": picture.name, "mime_type": picture.type}}

    def _phone(self, chat: int) -> Phone:
        return self.phone(str(chat))

    def _chat(self, chat: int) -> dict[str, Any]:
        return {"id": chat, "type": "private", "first_name": self._phone(chat).name}

    def _user(self, chat: int) -> dict[str, Any]:
        return {"id": chat, "is_bot": False, "first_name": self._phone(chat).name, "language_code": "es"}

    def _bot(self) -> dict[str, Any]:
        return {"id": 1, "is_bot": True, "first_name": "Nube", "username": self.username}


async def _pushed(client: httpx.AsyncClient, url: str, headers: Mapping[str, str], update: Any) -> str | None:
    """What went wrong, None if nothing did."""
    try:
        response = await client.post(url, json=update, headers=headers)
    except httpx.HTTPError as error:
        return type(error).__name__
    return None if response.is_success else f"Wrong response from the webhook: {response.status_code}"


async def _parameters(request: Request) -> tuple[dict[str, Any], dict[str, Picture]]:
    given: dict[str, Any] = dict(request.query_params)
    if request.headers.get("content-type", "").startswith("application/json"):
        told = json.loads(await request.body() or b"{}")
        return given | {key: one if isinstance(one, str) else json.dumps(one) for key, one in told.items()}, {}
    files: dict[str, Picture] = {}
    async with request.form(max_files=20) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files[name] = Picture(value.filename or name, value.content_type or "", await value.read())
            else:
                given[name] = value
    return given, files


def _answer(code: int, why: str, retry_after: int | None = None) -> JSONResponse:
    told: dict[str, Any] = {"ok": False, "error_code": code, "description": why}
    if retry_after is not None:
        told["parameters"] = {"retry_after": retry_after}
    return JSONResponse(told, status_code=code)
