"""Serve the pages: one uvicorn in our own event loop, which leaves stop signals to main."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

GRACE = 2  # seconds that open answers get after the stop signal; streams end by themselves before


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The process has one owner of signals, and that is main."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Take the port now, so that a busy one is told before anything else starts. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
        taken.listen(512)
    except OSError:
        taken.close()
        raise
    return taken


async def serve(app: FastAPI, taken: socket.socket) -> None:
    """Serve until cancelled; then let open answers end."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # addresses and paths of customers do not belong into a log
        timeout_graceful_shutdown=GRACE,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        h11_max_incomplete_event_size=64 * 1024,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[taken.dup()]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        with contextlib.suppress(Exception):
            await serving
        raise
