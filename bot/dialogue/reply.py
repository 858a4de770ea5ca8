"""One turn in the making: the state as it becomes, and the effects in the order in which they are wanted."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.dialogue.effects import Blank, Choice, Effect, OpenCase, Say, StartTimer, StopTimer, UpdateCase
from bot.dialogue.state import CaseFacts, Profile, State, Talk


class Reply:
    """What a handler writes on. Nobody keeps one beyond its turn."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.effects: list[Effect] = []

    @property
    def talk(self) -> Talk:
        """Of this conversation."""
        return self.state.talk

    @property
    def profile(self) -> Profile:
        """Of the person."""
        return self.state.profile

    @property
    def case(self) -> CaseFacts | None:
        """The case that is being talked of."""
        return self.state.case

    @property
    def the_case(self) -> CaseFacts:
        """The case, where there must be one."""
        assert self.state.case is not None
        return self.state.case

    @property
    def has_open_case(self) -> bool:
        """A case that the customer has not called solved."""
        return self.case is not None and self.case.solved_by != "customer"

    def remember(self, **changes: Any) -> None:
        """Change the talk."""
        self.state = replace(self.state, talk=replace(self.talk, **changes))

    def know(self, **changes: Any) -> None:
        """Change the profile."""
        self.state = replace(self.state, profile=replace(self.profile, **changes))

    def do(self, *effects: Effect) -> None:
        """Want something done."""
        self.effects += effects

    def say(
        self,
        line: str,
        *buttons: Choice,
        blanks: Mapping[str, Blank] | None = None,
        dated: bool = False,
        notice: bool = False,
    ) -> None:
        """Add a paragraph. While a person speaks only notices are heard: there is one speaker."""
        if notice or self.talk.speaker != "person":
            self.do(Say(line=line, blanks=blanks or {}, buttons=buttons, dated=dated, notice=notice))

    def open(self, case: CaseFacts, effect: OpenCase) -> None:
        """The case exists from here on."""
        self.state = replace(self.state, case=case)
        self.do(effect)

    def update(self, **changes: Any) -> None:
        """Change the case, here and where it is kept; nothing is written when nothing changes."""
        changes = {name: value for name, value in changes.items() if getattr(self.the_case, name) != value}
        if changes:
            self.state = replace(self.state, case=replace(self.the_case, **changes))
            self.do(UpdateCase(**changes))

    def await_answer(self, *questions: str) -> None:
        """Wait for answers to these questions; a day of silence will be noticed."""
        self.remember(pending=questions)
        self.do(StartTimer("silence"))

    def rest(self) -> None:
        """No question is open."""
        self.remember(pending=())
        self.do(StopTimer("silence"))
