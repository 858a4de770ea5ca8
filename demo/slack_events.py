"""What Slack sends us, as it really looks, and the signature over it."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from typing import Any
from urllib.parse import urlencode

APP, BOT, TEAM = "U0ACUSE", "B0ACUSE", "T0NUBE"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


def signed(raw: bytes, secret: str, stamp: str, kind: str = JSON) -> dict[str, str]:
    """The headers of a call."""
    made = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={made}", "Content-Type": kind}


def as_json(body: Mapping[str, Any]) -> bytes:
    """How events travel."""
    return json.dumps(body).encode()


def as_form(body: Mapping[str, Any]) -> bytes:
    """How presses and forms travel."""
    return urlencode({"payload": json.dumps(body)}).encode()


class Events:
    """Bodies by the clock of the workspace, each with an id of its own."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._ids = count(1)

    def ts(self) -> str:
        """The stamp of a message."""
        return f"{int(self._now().timestamp())}.{next(self._ids):06d}"

    def event(self, *, shared: bool = False, **event: Any) -> dict[str, Any]:
        """Around what happened. `shared`: in a channel that another company shares."""
        return {
            "token": "deprecated",
            "team_id": TEAM,
            "api_app_id": "A0ACUSE",
            "type": "event_callback",
            "event_id": f"Ev{next(self._ids):010d}",
            "event_time": int(self._now().timestamp()),
            "authorizations": [{"team_id": TEAM, "user_id": APP, "is_bot": True, "enterprise_id": None}],
            "is_ext_shared_channel": shared,
            "event": {"event_ts": event.get("ts") or self.ts(), **event},
        }

    def said(self, text: str, user: str, channel: str, *, kind: str, team: str = TEAM, **more: Any) -> dict[str, Any]:
        """What happens when somebody writes. `kind`: im, group or channel; `team`: theirs."""
        foreign = {"user_team": team, "source_team": team} if team != TEAM else {}
        said = {"type": "message", "channel": channel, "channel_type": kind, "user": user, "text": text, "team": team}
        return {**said, "client_msg_id": f"{next(self._ids):032x}", **foreign, "ts": self.ts(), **more}

    def mentioned(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """What happens beside it when it bears our name; it has no kind of channel."""
        return {name: value for name, value in said.items() if name != "channel_type"} | {"type": "app_mention"}

    def changed(self, said: Mapping[str, Any], before: str) -> dict[str, Any]:
        """What happens when a message is edited. `said`: as it stands now."""
        moment, ts = self.ts(), said["ts"]
        message = {**said, "edited": {"user": said["user"], "ts": moment}}
        event = {"type": "message", "subtype": "message_changed", "channel": said["channel"], "ts": moment}
        event |= {"channel_type": said["channel_type"], "message": message}
        return event | {"previous_message": {**said, "ts": ts, "text": before}}

    def pane(self, user: str, channel: str, thread: str) -> dict[str, Any]:
        """What happens when somebody opens the assistant pane."""
        place = {"user_id": user, "channel_id": channel, "thread_ts": thread, "context": {}}
        return {"type": "assistant_thread_started", "assistant_thread": place, "event_ts": self.ts()}

    def reaction(self, user: str, channel: str, ts: str, reaction: str) -> dict[str, Any]:
        """What happens when somebody reacts to a message of ours."""
        item = {"type": "message", "channel": channel, "ts": ts}
        return {"type": "reaction_added", "user": user, "reaction": reaction, "item": item, "item_user": APP}

    def pressed(
        self,
        action_id: str,
        value: str,
        *,
        user: Mapping[str, Any],
        channel: str,
        ts: str,
        label: str,
        text: str,
        room: str = "directmessage",
    ) -> dict[str, Any]:
        """A button below a message of ours: `label` on it, `text` above it."""
        moment = self.ts()
        action = {"action_id": action_id, "value": value, "type": "button", "action_ts": moment}
        return self._interaction("block_actions", user) | {
            "trigger_id": f"{moment}.{next(self._ids)}",
            "container": {"type": "message", "message_ts": ts, "channel_id": channel},
            "channel": {"id": channel, "name": room},
            "message": {"ts": ts, "text": text, "user": APP, "bot_id": BOT, "type": "message"},
            "actions": [action | {"text": {"type": "plain_text", "text": label}}],
        }

    def submitted(self, view: Mapping[str, Any], text: str, user: Mapping[str, Any]) -> dict[str, Any]:
        """A form, filled into its one box."""
        block = next(one for one in view["blocks"] if one["type"] == "input")
        value = {block["element"]["action_id"]: {"type": "plain_text_input", "value": text}}
        state = {"values": {block["block_id"]: value}}
        return self._interaction("view_submission", user) | {"view": {**view, "state": state}}

    def _interaction(self, kind: str, user: Mapping[str, Any]) -> dict[str, Any]:
        who = {"id": user["id"], "username": user.get("name", ""), "team_id": user.get("team_id", TEAM)}
        team = {"id": TEAM, "domain": "nube"}
        return {"type": kind, "user": who, "team": team, "api_app_id": "A0ACUSE", "token": "deprecated"}
