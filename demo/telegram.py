"""The demo's Telegram: the protocol of telegram_api.py, and the phones that the page shows."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from demo.standin import Bubble, Diary, Phone, StandIn, State
from demo.telegram_api import TelegramApi
from demo.telegram_chats import Post


class TelegramStandIn(TelegramApi, StandIn):
    """A phone is a chat with the bot; whoever has one exists."""

    def __init__(
        self,
        token: str = "1:demo",  # noqa: S107  of a bot that exists nowhere
        *,
        now: Callable[[], datetime],
        people: Mapping[int, str] | None = None,
        diary: Diary | None = None,
        pace: timedelta = timedelta(seconds=1),
    ) -> None:
        super().__init__(token, now=now, people=people, pace=pace)
        self.diary = diary or self.diary
        for chat, name in (people or {}).items():
            self.phone(str(chat), name)

    def phone(self, address: str, name: str = "") -> Phone:
        """The phone of a chat, bought now if there was none."""
        found = super().phone(address, name)
        self.chats[int(address)] = found.name
        return found

    def appeared(self, post: Post) -> None:
        """A bubble on the phone."""
        self.show(
            self.phone(str(post.chat)),
            Bubble(
                id=str(post.number),
                mine=post.mine,
                text=post.text,
                at=self.now(),
                buttons=list(post.buttons),
                files=list(post.files),
            ),
        )

    def changed(self, post: Post) -> None:
        """Its bubble says something else now."""
        if bubble := self.phone(str(post.chat)).bubble(str(post.number)):
            bubble.text, bubble.buttons = post.text, list(post.buttons)
            self.diary.changed(self.kind)

    def took(self, post: Post) -> None:
        """One tick more."""
        bubble = self.phone(str(post.chat)).bubble(str(post.number))
        if bubble and bubble.state is State.SENT:
            bubble.state = State.DELIVERED
            self.tell("taken")
