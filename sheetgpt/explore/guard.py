"""Who may ask the server: this machine, by an address that holds the token, and no page of another origin."""

from __future__ import annotations

import secrets

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
SAFETY = {
    # nothing from elsewhere is loaded, and no other page may show this one
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",  # the address holds the token
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Passes on what is asked with the token in the path, `/TOKEN/...`; all else is refused in one line."""

    def __init__(self, app: ASGIApp, token: str):
        self.app, self.prefix = app, f"/{token}/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = safely(send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self.refusal(scope["path"], headers)
        if refusal is not None:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
            return
        inside = {**scope, "path": scope["path"][len(self.prefix) - 1 :]}
        await self.app(inside, receive, send)

    def refusal(self, path: str, headers: dict[str, str]) -> str | None:
        """Why a request is not answered; None where it is."""
        host = headers.get("host", "").lower()
        if host.partition(":")[0] not in HOSTS:
            return "This server answers to 127.0.0.1 only.\n"
        if not is_same_origin(headers, host):
            return "This server answers to its own page only.\n"
        if not secrets.compare_digest(path[: len(self.prefix)].encode(), self.prefix.encode()):
            return "The address must hold the token that `sheetgpt explore` printed.\n"
        return None


def is_same_origin(headers: dict[str, str], host: str) -> bool:
    """Was it asked by the page itself, or typed into the browser?"""
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}":
        return False
    return headers.get("sec-fetch-site", "none") in ("none", "same-origin")


def safely(send: Send) -> Send:
    """What sends every answer, whoever makes it, with the headers of SAFETY."""

    async def with_safety(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(raw=message["headers"]).update(SAFETY)
        await send(message)

    return with_safety
