"""What a turn must know of its conversation, read in one journey each: before it thinks, and when it answers."""

from dataclasses import dataclass
from uuid import UUID

from storage.direct import LOCKED, Direct, reading
from storage.messages import WAITING
from storage.tables import Attachment, Case, ContactPoint, Conversation, Message, Outgoing, Person

_ONE = "WHERE id = %s"
_PERSON = "WHERE id = (SELECT person_id FROM conversations WHERE id = %s)"
_FILES = (
    "WHERE message_id IN (SELECT id FROM messages WHERE conversation_id = %s AND handled_at IS NULL"
    " ORDER BY number LIMIT %s) ORDER BY id"
)
# only the newest choice matters, and none that stands before the last words of an agent
_CHOICE = (
    "JOIN (SELECT conversation_id, min(number) AS number FROM messages"
    " WHERE conversation_id = %s AND handled_at IS NULL GROUP BY conversation_id) AS first USING (conversation_id)"
    " JOIN conversations ON conversations.id = conversation_id AND conversations.account = outgoing.account"
    " WHERE outgoing.number < first.number AND outgoing.number > first.number - 30"
    " AND (outgoing.author LIKE 'agent:%%' OR outgoing.buttons <> '[]' AND outgoing.state <> 'withdrawn')"
    " ORDER BY outgoing.number DESC LIMIT 1"
)
_CONTACTS = "WHERE person_id = (SELECT person_id FROM conversations WHERE id = %s) ORDER BY created_at"
_SPEAKER = "SELECT speaker FROM conversations WHERE case_id = %s AND speaker <> 'bot' LIMIT 1"


@dataclass(frozen=True)
class Unanswered:
    """What waits for an Answer, and what it is understood by."""

    conversation: Conversation
    person: Person
    messages: list[Message]
    files: list[Attachment]
    choices: list[Outgoing]  # the newest row before them that offers something to choose, or is an agent's


@dataclass(frozen=True)
class Scene:
    """Who and what an Answer is about."""

    person: Person
    contacts: list[ContactPoint]  # oldest first
    case: Case | None  # locked
    speaker: str  # in the case's conversations: `bot`, unless an agent has taken it


async def unanswered(direct: Direct, conversation_id: UUID, limit: int = 50) -> Unanswered | None:
    """The oldest messages of a conversation that wait; None if there is no such conversation."""
    conversations, people, messages, files, choices = await direct.run(
        reading(Conversation, _ONE, conversation_id),
        reading(Person, _PERSON, conversation_id),
        reading(Message, WAITING, conversation_id, limit),
        reading(Attachment, _FILES, conversation_id, limit),
        reading(Outgoing, _CHOICE, conversation_id),
    )
    if not conversations:
        return None
    return Unanswered(
        direct.load(Conversation, conversations)[0],
        direct.load(Person, people)[0],
        direct.load(Message, messages),
        direct.load(Attachment, files),
        direct.load(Outgoing, choices),
    )


async def scene(direct: Direct, conversation_id: UUID, case_id: UUID | None) -> Scene:
    """The scene of a (locked) conversation.

    Whoever takes a case holds its row until the commit: the speaker is asked for once that row is ours.
    """
    people, contacts, cases, speakers = await direct.run(
        reading(Person, _PERSON, conversation_id),
        reading(ContactPoint, _CONTACTS, conversation_id),
        reading(Case, LOCKED, case_id),
        (_SPEAKER, (case_id,)),
    )
    return Scene(
        direct.load(Person, people)[0],
        direct.load(ContactPoint, contacts),
        next(iter(direct.load(Case, cases)), None),
        speakers[0][0] if speakers else "bot",
    )
