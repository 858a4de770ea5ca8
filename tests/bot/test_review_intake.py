"""What comes from outside may be as long as it likes: one such message must not block all behind it (P11)."""

from random import Random

from channels.channel import Address, Inbound
from tests.bot.rows import messages
from tests.conftest import Clock
from tests.world import World


def _long(seed: int) -> str:
    """Nothing that compresses: the database's indexes hold 2,700 bytes of a value."""
    return "<" + Random(seed).randbytes(4000).hex() + "@x.example>"


async def test_a_mail_with_endless_ids_is_kept_and_found_again(world: World, clock: Clock) -> None:
    first = Inbound(
        key=_long(1),
        provider_id=_long(2),
        thread=_long(3),
        replies_to=(_long(4),),
        sender=Address("email", _long(5).strip("<>")),
        text="Compré una licuadora y llegó rota.",
        sent_at=clock(),
        subject=_long(6),
    )
    kept = await world.intake.keep("email", first)
    again = await world.intake.keep("email", first)
    assert kept is not None and again is not None
    assert (again.conversation_id, again.message_id) == (kept.conversation_id, None)
    assert len(await messages(world)) == 1
