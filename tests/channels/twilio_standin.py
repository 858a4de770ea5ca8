"""Twilio as seen from the network's edge: REST with state, judged by Twilio's own descriptions, and signed calls."""

import base64
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # it ships no types

from channels.channel import ChannelError, Request, Unavailable, Undeliverable
from channels.whatsapp_templates import Template

ACCOUNT = "AC" + "0" * 32
TOKEN = "12345"
HERE = "https://acuse.example"
SPECS = Path(__file__).parents[3] / "shared" / "data" / "specs"
_VARIABLE = re.compile(r"\{\{(\w+)\}\}")


class TwilioJudge:
    """Says what is wrong with a call, by Twilio's descriptions of its API."""

    def __init__(self) -> None:
        self._rest = json.loads((SPECS / "twilio_api_v2010.json").read_text("utf-8"))
        self._content = json.loads((SPECS / "twilio_content_v1.json").read_text("utf-8"))

    def message(self, form: Mapping[str, list[str]]) -> list[str]:
        call = self._rest["paths"]["/2010-04-01/Accounts/{AccountSid}/Messages.json"]["post"]
        schema = call["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
        faults = [f"{name}: unknown" for name in form if name not in schema["properties"]]
        faults += [f"{name}: missing" for name in schema.get("required", []) if name not in form]
        for name in form.keys() & schema["properties"].keys():
            described = schema["properties"][name]
            value: Any = form[name] if described["type"] == "array" else form[name][0]
            if described["type"] == "boolean" and value in ("true", "false"):
                value = value == "true"
            faults += _faults(self._rest, described, value, name)
        return faults

    def content(self, name: str, value: Any) -> list[str]:
        return _faults(self._content, {"$ref": f"#/components/schemas/{name}"}, value, name)


def _faults(described: dict[str, Any], schema: dict[str, Any], value: Any, where: str) -> list[str]:
    if "$ref" in schema:
        schema = described["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    kinds: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "object": dict,
        "array": list,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
    }
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return [f"{where}: {value!r} is no {schema['type']}"]
    faults = []
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            faults.append(f"{where}: {value!r} is not like {schema['pattern']}")
        if "enum" in schema and value not in schema["enum"]:
            faults.append(f"{where}: {value!r} is none of {schema['enum']}")
    if isinstance(value, dict) and "properties" in schema:
        faults += [f"{where}.{name}: unknown" for name in value if name not in schema["properties"]]
        faults += [f"{where}.{name}: missing" for name in schema.get("required", []) if name not in value]
        for name in value.keys() & schema["properties"].keys():
            faults += _faults(described, schema["properties"][name], value[name], f"{where}.{name}")
    if isinstance(value, list) and "items" in schema:
        for number, one in enumerate(value):
            faults += _faults(described, schema["items"], one, f"{where}[{number}]")
    return faults


class TwilioStandIn(httpx.AsyncBaseTransport):
    """Keeps messages and contents. `codes`: what the next messages are refused with."""

    def __init__(self) -> None:
        self.judge = TwilioJudge() if SPECS.exists() else None
        self.faults: list[str] = []
        self.messages: list[dict[str, Any]] = []
        self.contents: dict[str, dict[str, Any]] = {}
        self.typing: list[str] = []
        self.calls: list[tuple[str, str]] = []
        self.codes: list[tuple[int, int]] = []  # status, code
        self.retry_after: str | None = None
        self.webhook = ""  # set for incoming messages
        self.closed = False  # the 24-hour window
        self.files: dict[str, httpx.Response] = {}
        self.asked: list[httpx.Request] = []
        self._numbers = itertools.count(1)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append(request)
        path = request.url.path
        self.calls.append((request.method, path))
        if str(request.url) in self.files:
            return self.files[str(request.url)]
        if request.headers.get("authorization") != _basic(ACCOUNT, TOKEN):
            return _refused(401, 20003, "Authenticate")
        if path.endswith("/Messages.json") and request.method == "POST":
            return self._message(parse_qs(request.content.decode(), keep_blank_values=True))
        if path == f"/2010-04-01/Accounts/{ACCOUNT}.json":
            return httpx.Response(200, json={"sid": ACCOUNT, "status": "active", "friendly_name": "Nube"})
        if path == f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json":
            return httpx.Response(200, json={"incoming_phone_numbers": [{"sms_url": self.webhook}]})
        if path == "/v2/Channels/Senders":
            sender = {"sender_id": "whatsapp:+14155238886", "webhook": {"callback_url": self.webhook}}
            return httpx.Response(200, json={"senders": [sender], "meta": {"key": "senders"}})
        if path.startswith("/v1/Services/"):
            return httpx.Response(200, json={"inbound_request_url": self.webhook})
        if path == "/v2/Indicators/Typing.json":
            self.typing.append(parse_qs(request.content.decode())["messageId"][0])
            return httpx.Response(201, json={"success": True})
        return self._contents_api(request, path)

    def _contents_api(self, request: httpx.Request, path: str) -> httpx.Response:
        if self.codes and self.codes[0][1] == 0:
            return _refused(*self.codes.pop(0), "as told")
        if path == "/v1/ContentAndApprovals":
            meta = {"key": "contents", "page": 0, "page_size": 500, "next_page_url": None, "url": str(request.url)}
            return httpx.Response(200, json={"contents": list(self.contents.values()), "meta": meta})
        given = json.loads(request.content or b"{}")
        if path == "/v1/Content":
            self._judge("content", "ContentCreateRequest", given)
            sid = f"HX{next(self._numbers):032x}"
            self.contents[sid] = {"sid": sid, "account_sid": ACCOUNT, "approval_requests": {}, **given}
            return httpx.Response(201, json=self.contents[sid])
        if found := re.fullmatch(r"/v1/Content/(HX\w+)/ApprovalRequests/whatsapp", path):
            self._judge("content", "ContentApprovalRequest", given)
            self.contents[found[1]]["approval_requests"] = {"status": "received", **given}
            return httpx.Response(201, json=self.contents[found[1]]["approval_requests"])
        return _refused(404, 20404, "no such resource")

    def _judge(self, what: str, *given: Any) -> None:
        if self.judge is not None:
            self.faults += getattr(self.judge, what)(*given)

    def _message(self, form: dict[str, list[str]]) -> httpx.Response:
        self._judge("message", form)
        if self.codes:
            status, code = self.codes.pop(0)
            return _refused(status, code, "as told", {"retry-after": self.retry_after} if self.retry_after else {})
        one = {name: values[0] for name, values in form.items()}
        template = self.contents.get(one.get("ContentSid", ""))
        if "ContentSid" in one and template is None:
            return _refused(400, 21655, "no such content")
        if "ContentSid" in one and ("Body" in one or "MediaUrl" in one):
            return _refused(400, 21619, "content and body")
        approved = template is not None and template["approval_requests"].get("status") == "approved"
        if self.closed and one["To"].startswith("whatsapp:") and not approved:
            return _refused(400, 63016, "outside the allowed window")
        if len(one.get("Body", "")) > 1600:
            return _refused(400, 21617, "too long")
        sid = f"SM{next(self._numbers):032x}"
        self.messages.append({"sid": sid, **one, "shown": _shown(template, one) if template else one.get("Body", "")})
        return httpx.Response(201, json={"sid": sid, "status": "queued", "error_code": None, "error_message": None})

    def approved(self, templates: Iterable[Template]) -> None:
        """As if they had been pushed and approved."""
        for number, one in enumerate(templates):
            sid = f"HX{number:032d}"
            self.contents[sid] = {
                "sid": sid,
                "account_sid": ACCOUNT,
                "friendly_name": one.friendly_name,
                "language": one.language,
                "variables": one.sample_variables(),
                "types": one.types(),
                "approval_requests": {"status": "approved"},
            }

    def approve_all(self) -> None:
        """As Meta does after a while."""
        for one in self.contents.values():
            if one["approval_requests"]:
                one["approval_requests"]["status"] = "approved"

    def trouble(self, kind: type[ChannelError]) -> bool:
        self.codes.append({Undeliverable: (400, 21211), Unavailable: (503, 20500)}[kind])
        return True

    def heard(self) -> str:
        return "\n".join(one["shown"] for one in self.messages)


def _shown(template: dict[str, Any], one: dict[str, str]) -> str:
    """What the person sees: the body, and the choices below it."""
    values = {**template.get("variables", {}), **json.loads(one.get("ContentVariables", "{}"))}
    (kind, content), *_ = template["types"].items()
    lines = [content["body"]]
    lines += [f"[{action['title']}|{action['id']}]" for action in content.get("actions", [])]
    lines += [f"({item['item']}|{item['id']}|{item.get('description', '')})" for item in content.get("items", [])]
    shown = "\n".join(_VARIABLE.sub(lambda found: values[found[1]], line) for line in lines)
    assert len(shown) < 3000 and kind.startswith("twilio/")
    return shown


def _refused(status: int, code: int, said: str, headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"code": code, "message": said, "status": status, "more_info": f"https://www.twilio.com/docs/errors/{code}"}
    return httpx.Response(status, json=body, headers=headers)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def signed(
    fields: dict[str, str],
    *,
    url: str = f"{HERE}/webhooks/whatsapp",
    token: str = TOKEN,
    headers: dict[str, str] | None = None,
    algorithm: str | None = None,
) -> Request:
    """A call as Twilio makes it."""
    signature = RequestValidator(token).compute_signature(url, fields, algorithm)
    return Request(
        method="POST",
        url=url,
        headers={
            "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
            "x-twilio-signature": signature,
            **(headers or {}),
        },
        body=urlencode(fields).encode(),
    )


def written(
    text: str = "Hola", *, sid: str = "SM" + "1" * 32, sender: str = "whatsapp:+573001112233", **more: str
) -> dict[str, str]:
    """The fields of a message as WhatsApp sends it through Twilio."""
    return {
        "SmsMessageSid": sid, "NumMedia": "0", "ProfileName": "Ana", "MessageType": "text", "SmsSid": sid,
        "WaId": sender.removeprefix("whatsapp:+"), "SmsStatus": "received", "Body": text, "To": "whatsapp:+14155238886",
        "NumSegments": "1", "ReferralNumMedia": "0", "MessageSid": sid, "AccountSid": ACCOUNT, "From": sender,
        "ApiVersion": "2010-04-01", **more,
    }  # fmt: skip


def callback(status: str, *, sid: str = "SM" + "2" * 32, **more: str) -> dict[str, str]:
    """The fields of a status callback."""
    return {
        "ChannelToAddress": "+573001112233", "ChannelPrefix": "whatsapp", "MessageStatus": status, "MessageSid": sid,
        "SmsSid": sid, "SmsStatus": status, "AccountSid": ACCOUNT, "From": "whatsapp:+14155238886",
        "To": "whatsapp:+573001112233", "ApiVersion": "2010-04-01", **more,
    }  # fmt: skip


def query_of(message: dict[str, Any]) -> dict[str, list[str]]:
    """What stands in the address of a message's status callback."""
    return parse_qs(urlsplit(message["StatusCallback"]).query)
