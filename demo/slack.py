"""The demo's Slack: the protocol of slack_api.py, and what the page shows of its rooms."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx

from demo.slack_api import SlackApi
from demo.slack_blocks import buttons_of, shown
from demo.slack_workspace import Post
from demo.standin import Bubble, Diary, StandIn, State, brief

ACTION = "|"  # between action id and value in the payload of a button


class SlackStandIn(SlackApi, StandIn):
    """A phone is what stands in a channel or in the direct messages with one person."""

    def __init__(
        self,
        bot_token: str,
        signing_secret: str,
        *,
        now: Callable[[], datetime],
        send: httpx.AsyncClient,
        events_url: str | None = None,
        diary: Diary | None = None,
        pace: timedelta = timedelta(seconds=1),
        burst: int = 3,
    ) -> None:
        super().__init__(bot_token, signing_secret, now=now, send=send, events_url=events_url, pace=pace, burst=burst)
        self.diary = diary or self.diary

    def channel(self, channel: str, name: str, **more: Any) -> None:
        """A channel that the app is in."""
        super().channel(channel, name, **more)
        self.phone(channel, name)

    def appeared(self, post: Post) -> None:
        """A bubble of a person's, or of ours."""
        if post.user is None:
            self._of_ours(post)
            return
        name = self.people[post.user]["real_name"]
        self.show(
            self.phone(post.room, "" if post.room in self.rooms else name),
            Bubble(
                id=post.ts,
                mine=True,
                text=post.given["text"],
                at=self.now(),
                files=list(post.files),
                heading=name,
                extra={"thread": post.thread, "user": post.user},
            ),
        )

    def _of_ours(self, post: Post) -> None:
        heading, text = shown(post.given)
        bubble = Bubble(
            id=post.ts,
            mine=False,
            text=text,
            at=self.now(),
            buttons=_buttons(post),
            files=list(post.files),
            heading=heading,
            extra={"thread": post.thread, "only": post.only},
        )
        inside = post.room in self.rooms and self.rooms[post.room].private
        self.show(self.phone(post.room), bubble, tell=not inside)
        if inside and not post.only and post.thread == post.ts:
            first, *_ = text.splitlines() or [""]
            self.tell("carded", ". ".join(one for one in (heading, brief(first)) if one))
        else:
            self.diary.changed(self.kind)

    def changed(self, post: Post) -> None:
        """Its bubble says something else now."""
        bubble = self.phone(post.room).bubble(post.ts)
        if bubble is None:
            return
        if post.user is None:
            bubble.heading, bubble.text = shown(post.given)
            bubble.buttons = _buttons(post)
        else:
            bubble.text = post.given["text"]
        self.diary.changed(self.kind)

    def took(self, post: Post) -> None:
        """One tick more."""
        bubble = self.phone(post.room).bubble(post.ts)
        if bubble and bubble.state is State.SENT:
            bubble.state = State.DELIVERED
            self.tell("taken")


def _buttons(post: Post) -> list[tuple[str, str]]:
    return [(label, f"{action_id}{ACTION}{value}") for label, action_id, value in buttons_of(post.given)]
