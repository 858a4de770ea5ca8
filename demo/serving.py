"""Serve an ASGI app on the loopback, inside the loop that is running."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette


class _Server(uvicorn.Server):
    def cut(self, client: tuple[str, int] | None) -> None:
        """The network lets go of this caller: whatever is answered does not arrive."""
        for connection in list(self.server_state.connections):
            if getattr(connection, "client", None) == client and (transport := getattr(connection, "transport", None)):
                transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Whoever runs the loop listens for signals."""
        yield


def listen(port: int = 0) -> socket.socket:
    """Take a port of the loopback; 0: one that is free. Raises OSError."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(("127.0.0.1", port))
        taken.listen(512)
    except OSError:
        taken.close()
        raise
    return taken


@contextlib.asynccontextmanager
async def serving(app: Starlette, on: socket.socket | None = None) -> AsyncIterator[str]:
    """Its address, without a slash at the end. Calls that wait for something are ended at the end."""
    taken = on or listen()
    server = _Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    )
    running = asyncio.create_task(server.serve([taken]))
    try:
        while not server.started:
            if running.done():
                await running
            await asyncio.sleep(0.005)
        app.state.cut = server.cut
        app.state.url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        yield app.state.url
    finally:
        for close in getattr(app.state, "closing", ()):
            close()
        server.should_exit = True
        await running
        taken.close()
