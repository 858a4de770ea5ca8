"""An installation as it comes: the web chat and nothing else. Nothing is promised that it cannot do."""

from datetime import timedelta
from pathlib import Path

from channels.memory import Memory
from tests.conftest import Clock
from tests.world import CHAT, a_world


async def test_no_code_is_promised_where_no_mail_is_sent(database_url: str, clock: Clock, tmp_path: Path) -> None:
    """R003 R120: an address is not asked for, and one that is told is kept in the case without more."""
    chat = Memory("webchat", features=CHAT, now=clock)
    async with a_world(database_url, clock, tmp_path, channels={"webchat": chat}) as world:
        await world.write("webchat", "ana", "llegó rota la licuadora del pedido 48213")
        assert "correo" not in chat.sent[-1].text
        clock.advance(timedelta(seconds=40))
        await world.write("webchat", "ana", "ana@example.com")
        assert "Anoté ana@example.com" in chat.sent[-1].text
        assert "código" not in chat.sent[-1].text
        assert (await world.cases())[0].facts["email"] == ["ana@example.com"]
        assert {row.kind for row in await world.outgoing()} == {"ack", "receipt", "answer"}
