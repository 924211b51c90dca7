"""Requests to the media routes without a server, as a browser on this machine would send them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette

from explorer import routes

APP = Starlette(routes=routes.ROUTES)


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


async def ask(
    url: str,
    method: str = "GET",
    *,
    seen: Callable[[dict[str, Any]], None] = lambda message: None,
    gone: Callable[[], bool] = lambda: False,
    **headers: str,
) -> Answer:
    """One request through ASGI, as a browser on this machine would send it. `gone`: it does not wait any more."""
    parts = urlsplit(url)
    sent: dict[str, Any] = {"body": b""}
    lines = {"host": "localhost:8501", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "method": method, "root_path": "",
        "path": parts.path, "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(), "scheme": "http", "http_version": "1.1", "server": ("localhost", 8501),
        "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"} if gone() else {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        seen(message)
        if message["type"] == "http.response.start":
            sent["status"] = message["status"]
            sent["headers"] = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            sent["body"] += message.get("body", b"")

    await APP(scope, receive, send)
    return Answer(sent["status"], sent["headers"], sent["body"])


def get(url: str, method: str = "GET", **headers: str) -> Answer:
    return asyncio.run(ask(url, method, **headers))
