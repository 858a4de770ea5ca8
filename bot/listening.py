"""Voice notes become words before they are answered, where a speech model is configured (`nlu.speech`).

The note is kept and acknowledged like everything else, and its turn waits: for the words, for the news that nobody can
make them out, or for the end of our patience. Whichever comes first, there is one answer. Truth is in the rows, so that
a restart costs time and nothing else.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.bell import Bell, resting
from bot.bursts import TRANSCRIPT, VOICE
from bot.parts import Parts
from storage.listen import EVERYTHING
from storage.tables import Attachment, Message

logger = logging.getLogger(__name__)
PATIENCE = timedelta(seconds=120)  # from the arrival; then the customer is asked to write
BRIEF = timedelta(seconds=30)  # when they wrote something as well: that waits no longer
AGAIN = timedelta(seconds=70)  # after somebody began to listen and did not come back; longer than nlu.speech.LIMIT
LONGEST = 10_000  # letters of a transcript
APART = 0.5  # seconds between two looks at the least
NET = 5.0  # and at the most


def held_until(parts: Parts, message: Message) -> datetime | None:
    """Until when a voice note that just came may wait for its words; None: it is answered as it is."""
    if not message.extra.get(VOICE) or message.text or parts.hearing is None or not parts.hearing.ready:
        return None
    return message.received_at + PATIENCE


def awaited(parts: Parts, waiting: Sequence[Message]) -> bool:
    """Whether the turn of these messages is held, as one of them is being listened to."""
    if parts.hearing is None or not parts.hearing.ready:
        return False
    patience = BRIEF if any(one.text for one in waiting) else PATIENCE
    since = parts.now() - patience
    return any(
        one.extra.get(VOICE)
        and not one.text
        and not {TRANSCRIPT, "unheard"} & one.extra.keys()
        and one.received_at > since
        for one in waiting
    )


class Listening:
    """Runs in every worker; each note is listened to by one of them (SKIP LOCKED, and a mark in its row)."""

    def __init__(self, parts: Parts, bell: Bell | None = None) -> None:
        self._parts = parts
        self._bell = bell

    async def run(self) -> None:
        """Listen until cancelled, whenever something came in or a file was fetched."""
        if self._parts.hearing is not None:
            await self._parts.hearing.warm()
        async with resting(self._bell, EVERYTHING, apart=APART) as rest:
            while True:
                if not await self.listen():
                    await rest(NET)

    async def listen(self) -> bool:
        """Listen to the note that has waited longest; False: there is none."""
        async with self._parts.database.transaction() as tx:
            message = await tx.messages.take_spoken(AGAIN)
            if message is None:
                return False
            files = await tx.messages.attachments([message.id])
            conversation = await tx.conversations.get(message.conversation_id)
            person = await tx.people.get(conversation.person_id) if conversation is not None else None
        await self._settle(message, await self._words(files, person.language if person is not None else None))
        return True

    async def _words(self, files: Sequence[Attachment], language: str | None) -> str | None:
        """All that was said in them; None as soon as one of them cannot be made out."""
        said: list[str] = []
        for file in files:
            if self._parts.hearing is None or file.sha256 is None:
                return None
            path = self._parts.files.path(file.sha256)
            try:
                words = await self._parts.hearing.transcribe(path, file.type, language)
            except Exception as fault:  # whoever listens promises not to raise; the customer waits all the same
                logger.warning("listening: failed: %s", type(fault).__name__)
                words = None
            if not words or not words.strip():
                return None
            said.append(words.strip())
        return "\n".join(said)[:LONGEST] or None

    async def _settle(self, taken: Message, words: str | None) -> None:
        """Write down what was heard and let the turn begin. What was answered in the meantime stays as it is."""
        async with self._parts.database.transaction() as tx:
            conversation = await tx.conversations.locked(taken.conversation_id)
            message = await tx.messages.get(taken.id)
            if conversation is None or message is None or message.handled_at is not None or message.text:
                return
            tx.messages.heard(message, words)
            if conversation.answer_after == message.received_at + PATIENCE:
                conversation.answer_after = None  # a window that is open for what came later stays open
            await tx.wake("turn", conversation.id)
            await tx.ring(f"conversation:{conversation.id}")
