"""The emulator of the Bot API as a process of its own, and the wire to it that writes down what we said."""

import email.policy
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl

import httpx

_UNKNOWN = "link_preview_options"  # described by Telegram, refused by the emulator

Judge = Callable[[str, dict[str, Any], set[str]], list[str]]


class Wire(httpx.AsyncHTTPTransport):
    """The network, with a record of what we said and were told, judged on the way if the description is there."""

    def __init__(self, judge: Judge | None) -> None:
        super().__init__()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[Any] = []
        self.faults: list[str] = []
        self._judge = judge

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            method = request.url.path.rsplit("/", 1)[1]
            parameters, files = form(request.headers.get("content-type", ""), await request.aread())
            self.calls.append((method, parameters))
            if self._judge:
                self.faults += self._judge(method, parameters, files)
            if _UNKNOWN in parameters:
                request = _without(request, parameters)
        response = await super().handle_async_request(request)
        if request.method == "POST":
            self.answers.append(json.loads(await response.aread()))
        return response

    def said(self, method: str) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.calls if name == method]


def form(content_type: str, body: bytes) -> tuple[dict[str, Any], set[str]]:
    """The parameters of a call and the names of the files in it."""
    if not content_type.startswith("multipart/"):
        return dict(parse_qsl(body.decode(), keep_blank_values=True)), set()
    message = BytesParser(policy=email.policy.HTTP).parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
    )
    parameters, files = {}, set()
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if part.get_filename():
            files.add(str(name))
        else:
            parameters[str(name)] = bytes(part.get_payload(decode=True)).decode()
    return parameters, files


def _without(request: httpx.Request, parameters: dict[str, Any]) -> httpx.Request:
    headers = {name: value for name, value in request.headers.items() if name != "content-length"}
    kept = {name: value for name, value in parameters.items() if name != _UNKNOWN}
    return httpx.Request(request.method, request.url, headers=headers, data=kept, extensions=request.extensions)


@contextmanager
def emulating() -> Iterator[str]:
    """The address of an emulator that runs as long as this does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from lo_bot_api_emulator import main; main()", "--port", str(port)]
    command += ["--enable-control", "--allow-insecure-loopback-webhooks"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert server.poll() is None and time.monotonic() < deadline, "the emulator did not start"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=10)
