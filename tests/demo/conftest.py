"""What the tests of the stand-ins share."""

from tests.channels.conftest import described, judge_call, telegram_judge

__all__ = ["described", "judge_call", "telegram_judge"]
