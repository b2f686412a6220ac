"""What may reach the app: from which hosts, with which token, how much and how often.

A page on the internet can make a browser send requests to 127.0.0.1. Its requests name its own host, in Host
where its name was made to point here (DNS rebinding), in Origin or Sec-Fetch-Site otherwise, and are refused.
"""

import hmac
import ipaddress
import json
import time
from collections import OrderedDict
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MOST_CLIENTS = 1024  # Addresses whose rate is remembered.

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: its own files, pictures it was given, and nothing from elsewhere."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much the app takes on.

    Example:
        >>> create_app(Path("runs"), limits=Limits(upload_bytes=2**20))
    """

    upload_bytes: int = 32 * 2**20  # Of a request's body.
    pixels: int = 40_000_000  # Of a photo, read off its header before it is decoded.
    tiled_pixels: int = 1_000_000  # Of a photo that is translated in tiles.
    rate: float = 120.0  # Requests a second and client that go on for ever; a slider sends up to 60.
    burst: int = 400  # Requests a client may send at once.
    waiting: int = 12  # Requests that may wait for the model.
    open_models: int = 3  # Models kept in memory.


class Rates:
    """How often each client comes: a bucket of ``burst`` drops that ``rate`` a second fill.

    Example:
        >>> rates = Rates(rate=1.0, burst=1)
        >>> rates.seconds_to_wait("one", now=0.0), rates.seconds_to_wait("one", now=0.0)
        (0.0, 1.0)
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, client: str, now: float) -> float:
        """0 where the request may pass, which is counted; else how long until the next may."""
        drops, before = self._buckets.pop(client, (float(self._burst), now))
        drops = min(float(self._burst), drops + self._rate * (now - before))
        self._buckets[client] = (drops - 1.0 if drops >= 1.0 else drops, now)
        while len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if drops >= 1.0 else (1.0 - drops) / self._rate


@dataclass(frozen=True)
class _RefusalError(Exception):
    """Why a request does not reach the app."""

    status: int
    message: str
    retry_after: float | None = None


class Guard:
    """ASGI middleware: hosts, token, origin, rate and size, in that order, and headers of every answer.

    Args:
        app: what is guarded.
        limits: size and rate.
        hosts: names by which the app may be called; addresses and localhost always are where ``token`` is
            given, else only those of this machine.
        token: what a request must show; None for none.

    Example:
        >>> app.add_middleware(Guard, limits=Limits(), hosts=["gans.example.org"], token="secret")
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, hosts: Iterable[str] = (), token: str | None = None
    ) -> None:
        self.app, self.limits, self.token = app, limits, token
        self.hosts = frozenset(host.lower() for host in hosts)
        self.rates = Rates(limits.rate, limits.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer why not."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        with_headers = _adding_headers(send)
        try:
            if await self._signed_in(scope, with_headers):
                return
            self._check(scope)
            await self._guarded(scope, receive, with_headers)
        except _RefusalError as refusal:
            await _answer(refusal, with_headers)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the body's bytes, as Content-Length may be missing or a lie; what is too much is refused.

        A framework that reads the body may take our refusal for a damaged body and answer that.
        """
        seen, begun = 0, False

        async def counting() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.limits.upload_bytes:
                raise self._too_much()
            return message

        async def sending(message: Message) -> None:
            nonlocal begun
            if seen > self.limits.upload_bytes and not begun:
                raise self._too_much()
            begun = True
            await send(message)

        await self.app(scope, counting, sending)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._known(host):
            raise _RefusalError(
                421,
                f"This app answers to its own address. Received: host {host[:80]!r}. Open the address that "
                "gansmith app printed.",
            )
        wait = self.rates.seconds_to_wait((scope.get("client") or ("?", 0))[0], time.monotonic())
        if wait:
            raise _RefusalError(429, "Too many requests at once. Wait a second and go on.", wait)
        if self.token is not None and not self._has_token(scope, headers):
            raise _RefusalError(
                401,
                "This app is open to those who have its token. Open the address with ?token=... that "
                "gansmith app printed, or send the header Authorization: Bearer TOKEN.",
            )
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        top = headers.get("sec-fetch-mode") == "navigate" and not scope["path"].startswith("/api")
        if foreign or (site in ("cross-site", "same-site") and not top):
            raise _RefusalError(403, "The app answers its own page, not those of other sites.")
        if int(_number(headers.get("content-length"))) > self.limits.upload_bytes:
            raise self._too_much()

    def _too_much(self) -> _RefusalError:
        most = self.limits.upload_bytes / 2**20
        return _RefusalError(413, f"A request carries at most {most:g} MiB. Send a smaller photo.")

    def _known(self, host: str) -> bool:
        """Whether a request was sent to us and not to a name that someone made to point here."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in self.hosts or name == "localhost":
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or self.token is not None

    def _has_token(self, scope: Scope, headers: Headers) -> bool:
        assert self.token is not None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _equal(given.strip(), self.token):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(_cookie_name(scope))
        except CookieError:
            return False
        return cookie is not None and _equal(cookie.value, self.token)

    async def _signed_in(self, scope: Scope, send: Send) -> bool:
        """Put the token of ``/?token=...`` into a cookie and out of the address; whether that was done."""
        if self.token is None or scope["path"] != "/" or scope["method"] != "GET":
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[-1]
        if not given or not self._known(Headers(scope=scope).get("host", "")):
            return False
        wait = self.rates.seconds_to_wait((scope.get("client") or ("?", 0))[0], time.monotonic())
        if wait or not _equal(given, self.token):
            return False
        cookie = f"{_cookie_name(scope)}={self.token}; Path=/; HttpOnly; SameSite=Strict"
        await send(
            {
                "type": "http.response.start",
                "status": 303,
                "headers": [(b"location", b"/"), (b"set-cookie", cookie.encode()), (b"content-length", b"0")],
            }
        )
        await send({"type": "http.response.body", "body": b""})
        return True


def _adding_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending


async def _answer(refusal: _RefusalError, send: Send) -> None:
    body = json.dumps({"kind": "Refused", "message": refusal.message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refusal.retry_after is not None:
        headers.append((b"retry-after", str(max(1, round(refusal.retry_after))).encode()))
    start: MutableMapping[str, Any] = {"type": "http.response.start", "status": refusal.status}
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _cookie_name(scope: Scope) -> str:
    """A name of its own for each port: browsers share cookies between those of a host."""
    server = scope.get("server") or ("", 0)
    return f"gansmith_{server[1] or 0}"


def _equal(one: str, other: str) -> bool:
    """Whether two secrets are the same, in a time that tells nothing of where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else 0
