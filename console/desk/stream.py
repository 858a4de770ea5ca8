"""What tells an open page to fetch its parts again: server-sent events without any content."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi.responses import Response, StreamingResponse

from console.desk.gate import Gate, Visit
from console.desk.pages import Pages
from console.site import Site

BEAT = 15.0  # seconds: proxies close what is silent for long
LOOK = timedelta(seconds=60)  # a page whose agent was logged out hears nothing any more


def add(routes: APIRouter, site: Site, pages: Pages, gate: Gate) -> None:
    """/desk/stream."""

    @routes.get("/stream")
    async def stream(c: UUID | None = None, visit: Visit = Depends(gate)) -> Response:
        topics = ["desk"] + ([f"conversation:{c}"] if c else [])
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(rings(site, visit.token, topics), media_type="text/event-stream", headers=headers)


async def rings(site: Site, token: str, topics: list[str]) -> AsyncIterator[str]:
    """An event for each ring; ends at the stop signal, and when the session ends."""
    looked = site.parts.now()
    async with AsyncExitStack() as stack:
        waits = {topic: await stack.enter_async_context(site.bell.subscribe(topic)) for topic in topics}
        stopped = asyncio.ensure_future(site.stopping.wait())
        stack.callback(stopped.cancel)
        tasks = {asyncio.ensure_future(one.wait()): topic for topic, one in waits.items()}
        stack.callback(lambda: [task.cancel() for task in tasks])
        yield "retry: 1000\nevent: open\ndata: \n\n"
        while True:
            ready, _ = await asyncio.wait({stopped, *tasks}, timeout=BEAT, return_when=asyncio.FIRST_COMPLETED)
            if stopped in ready:
                return
            if site.parts.now() - looked > LOOK:
                looked = site.parts.now()
                if await site.staff.who(token) is None:
                    return
            if not ready:
                yield ": beat\n\n"
            for task in ready:
                topic = tasks.pop(task)
                tasks[asyncio.ensure_future(waits[topic].wait())] = topic
                yield f"event: {topic.partition(':')[0]}\ndata: \n\n"
