"""A server of lines on the loopback: what IMAP and SMTP have in common."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LONGEST = 60 * 1024 * 1024  # bytes of one line or one mail


@contextlib.asynccontextmanager
async def line_server(talk: Talk, port: int = 0) -> AsyncIterator[int]:
    """Serve; yields the port. At the end every connection is cut."""
    open_ones: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_ones[task] = writer
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await talk(reader, writer)
        finally:
            del open_ones[task]
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=LONGEST)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        left = list(open_ones)
        for task, writer in list(open_ones.items()):
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0.01)  # a client in this loop closes its end after ours
