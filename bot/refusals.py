"""What an agent cannot do, and why; each carries what to show."""


class Refusal(Exception):
    """Something that was asked for in the console and is not done; nothing was changed."""


class NoSuchConversation(Refusal):
    """It does not exist, or it is not for this agent's eyes: both look the same."""


class AlreadyTaken(Refusal):
    """Somebody else speaks here."""

    def __init__(self, by: str) -> None:
        super().__init__(f"{by} has it")
        self.by = by


class NotTaken(Refusal):
    """Take the conversation first: whoever writes to a customer is the one who speaks."""


class NotPossible(Refusal):
    """The case cannot make this move; the text says what to do instead."""


class CannotCorrect(Refusal):
    """The message cannot go to that address; `reason`: email, number, account, same, no_case, limit or done."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the address cannot be corrected: {reason}")
        self.reason = reason


class TooLateToUndo(Refusal):
    """It has left already."""


class Empty(Refusal):
    """There is nothing to send."""


class TooBig(Refusal):
    """The file is larger than the limit."""


class CannotMerge(NotPossible):
    """These cases cannot be merged, or not be parted again. `reason` is its name for translations, with its blanks.

    same | gone | persons | parted | decided | later | joined
    """

    def __init__(self, reason: str, says: str, **blanks: str) -> None:
        super().__init__(says)
        self.reason = reason
        self.blanks = blanks
