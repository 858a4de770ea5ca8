"""Telegram as the network sees it: the Bot API for one bot, its limits, its pace and its ways to say no."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from demo.pace import Throttle
from demo.provider import Failing, Picture
from demo.telegram_chats import Chats, Post
from demo.telegram_limits import Refused, caption, keyboard, limited, payload_fits


class TelegramApi(Chats):
    """The protocol, whole; the page's half is in telegram.py. `pace`: what each chat bears."""

    def __init__(
        self,
        token: str = "1:demo",  # noqa: S107  of a bot that exists nowhere
        *,
        now: Callable[[], datetime],
        people: Mapping[int, str] | None = None,
        pace: timedelta = timedelta(seconds=1),
    ) -> None:
        super().__init__(now=now, people=people)
        self.token = token
        self._throttle = Throttle(now, pace)
        self.app = Starlette(
            routes=[
                Route("/bot{token}/{method}", self._call, methods=["GET", "POST"]),
                Route("/file/bot{token}/{path:path}", self._file),
            ]
        )
        self.app.state.closing = [self.close]

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
        chat = await self._may_send(given)
        return self._show(chat, limited(given.get("text", "")), given)

    async def _do_sendphoto(self, given: dict[str, Any], files: dict[str, Picture]) -> dict[str, Any]:
        chat = await self._may_send(given)
        picture = self._uploaded(given, files, "photo")
        if not picture.type.startswith("image/"):
            raise Refused(400, "Bad Request: IMAGE_PROCESS_FAILED")
        return self._show(chat, caption(given.get("caption", "")), given, picture)

    async def _do_senddocument(self, given: dict[str, Any], files: dict[str, Picture]) -> dict[str, Any]:
        chat = await self._may_send(given)
        return self._show(chat, caption(given.get("caption", "")), given, self._uploaded(given, files, "document"))

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
        found = self.files.get(given.get("file_id", ""))
        if found is None:
            raise Refused(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
        told = {"file_id": given["file_id"], "file_unique_id": given["file_id"], "file_size": len(found.content)}
        return told | {"file_path": f"files/{given['file_id']}"}

    async def _do_setmycommands(self, _: dict[str, Any], __: dict[str, Picture]) -> bool:
        return True

    async def _file(self, request: Request) -> Response:
        found = self.files.get(request.path_params["path"].removeprefix("files/"))
        if request.path_params["token"] != self.token or found is None:
            return _answer(404, "Not Found")
        return Response(found.content, media_type="application/octet-stream")

    async def _may_send(self, given: dict[str, Any]) -> int:
        """The chat, if this may go out there, as Telegram sees it. Raises Refused."""
        match self.fault():
            case Failing.DOWN:
                raise Refused(503, "Service Unavailable")
            case Failing.BUSY:
                wait = int(self.busy_for.total_seconds())
                raise Refused(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
            case Failing.REFUSES:
                raise Refused(403, "Forbidden: bot was blocked by the user")
            case Failing.SLOW:
                await asyncio.sleep(self.slowness.total_seconds())
        chat = self._known(given)
        if chat in self.blocked:
            raise Refused(403, "Forbidden: bot was blocked by the user")
        payload_fits(given)
        if wait := self._throttle.wait(str(chat)):
            self.tell("answered_busy", tone="bad")
            raise Refused(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
        return chat

    def _known(self, given: dict[str, Any]) -> int:
        chat = str(given.get("chat_id", ""))
        if not chat.isdecimal() or int(chat) not in self.chats:
            raise Refused(400, "Bad Request: chat not found")
        return int(chat)

    def _must_be_up(self) -> None:
        if self.failing is Failing.DOWN and self._times is None:
            raise Refused(503, "Service Unavailable")

    def _show(self, chat: int, text: str, given: dict[str, Any], picture: Picture | None = None) -> dict[str, Any]:
        number = next(self._message_ids)
        buttons, markup = keyboard(given)
        self._stands(Post(chat, number, False, text, buttons, [picture] if picture else []))
        message = self._head(chat, number) | {"from": self._bot()}
        message |= self._media(picture) | ({"caption": text} if text else {}) if picture else {"text": text}
        return message | ({"reply_markup": markup} if markup and "inline_keyboard" in markup else {})

    def _edited(self, given: dict[str, Any], text: str | None) -> dict[str, Any]:
        post = self.posts.get((self._known(given), int(given.get("message_id") or 0)))
        if post is None or post.mine:
            raise Refused(400, "Bad Request: message to edit not found")
        buttons, markup = keyboard(given)
        if buttons == post.buttons and text in (None, post.text):
            raise Refused(400, "Bad Request: message is not modified")
        post.buttons, post.text = buttons, post.text if text is None else text
        self.changed(post)
        message = self._head(post.chat, post.number) | {"from": self._bot(), "text": post.text}
        return message | ({"reply_markup": markup} if markup else {})

    def _uploaded(self, given: dict[str, Any], files: dict[str, Picture], field: str) -> Picture:
        named = str(given.get(field, "")).removeprefix("attach://")
        found = files.get(named) or files.get(field) or self.files.get(named)
        if found is None:
            raise Refused(400, "Bad Request: wrong file identifier/HTTP URL specified")
        if len(found.content) > (10 if field == "photo" else 50) * 1024 * 1024:
            raise Refused(413, "Request Entity Too Large")
        return found


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
