"""Who may see the pages, and from where: one guard in front of all of them.

A page of another site can have the browser ask for ours, with our cookie if it is on another port
of this machine, and under a name of its own (DNS rebinding). So besides the cookie the guard looks
at ``Host``, and at where a request comes from.
"""

import asyncio
import ipaddress
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Refuse = Callable[[HTTPStatus, str], bytes]
"""The HTML that says why a request is refused."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
MOST_BODY_BYTES: Final = 64 * 1024
"""A change has a name, a note or some tags; the longest note is far below this."""
MOST_URL_BYTES: Final = 8 * 1024
_MOST_FIELDS: Final = 1000
_BODY_S: Final = 30.0
"""How long a change may take to arrive, in seconds."""
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = b"x-csrf-token"
_STATIC: Final = "/static/"


@dataclass(frozen=True)
class Access:
    """What lets a request in."""

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """What the address that is printed has in it."""
    host: str = "127.0.0.1"
    """What is listened on."""
    allow_changes: bool = False
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """What the cookie holds: nobody who sees one of the two learns the other."""
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """What every change has to bring with it."""

    @property
    def cookie(self) -> str:
        """The name of the cookie. Servers on other ports of this machine get it, too, and would
        take the place of one with the same name."""
        return f"threadkeep-{self.port}"

    def knows_host(self, host: str) -> bool:
        """Whether a browser that asks for this host means us, not a name that somebody has pointed
        at this machine."""
        name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        if not name:
            name, port = host, ""
        if (port or "80") != str(self.port):
            return False
        name = name.lower()
        if name in ("127.0.0.1", "localhost", "[::1]") or name.strip("[]") == self.host.lower():
            return True
        return _is_any(self.host) and _is_address(name.strip("[]"))


def _is_any(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on ``host``."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


class Refused(Exception):
    """A request that gets no answer from a page."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        self.status, self.reason = status, reason
        super().__init__(reason)


class Guard:
    """Lets requests through to ``app`` that may see it, and adds the headers that keep what is in a
    page from doing anything."""

    def __init__(self, app: App, access: Access, refuse: Refuse) -> None:
        self._app, self._access, self._refuse = app, access, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        send = _with_headers(scope, send)
        try:
            entered = self._check(scope)
            if scope["method"] == "POST":
                receive = await self._checked_change(scope, receive)
        except Refused as refused:
            body = self._refuse(refused.status, refused.reason)
            await _answer(send, refused.status, body)
            return
        if entered is not None:
            await _enter(send, entered, self._access)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> str | None:
        """Where to go on if the request brings the token; None if it may see what it asks for.
        Raises Refused."""
        access, headers = self._access, _headers(scope)
        if len(scope["path"]) + len(scope["query_string"]) > MOST_URL_BYTES:
            raise Refused(HTTPStatus.REQUEST_URI_TOO_LONG, "This address is too long.")
        if not access.knows_host(headers.get(b"host", "")):
            raise Refused(
                HTTPStatus.MISDIRECTED_REQUEST, "This address leads to threadkeep by another name."
            )
        if scope["method"] not in ("GET", "HEAD", "POST"):
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Pages are read by GET.")
        _check_origin(scope, headers)
        tokens = _tokens(scope) if scope["method"] == "GET" else []
        entered = any(_same(value, access.session) for value in _cookies(headers, access.cookie))
        entered = entered or _same(_bearer(headers), access.token)
        if not entered and not any(_same(token, access.token) for token in tokens):
            raise Refused(HTTPStatus.UNAUTHORIZED, "This page is for whoever started threadkeep.")
        return _without_token(scope) if tokens else None

    async def _checked_change(self, scope: Scope, receive: Receive) -> Receive:
        """What gives the body of a change that may be made. Raises Refused."""
        if not self._access.allow_changes:
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "Threads cannot be changed here. To allow it: threadkeep web --allow-changes",
            )
        try:
            async with asyncio.timeout(_BODY_S):
                body = await _body(receive)
        except TimeoutError:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "The request did not end.") from None
        given = _headers(scope).get(CSRF_HEADER, "")
        if not given:
            given = dict(_fields(body)).get(CSRF_FIELD, "")
        if not _same(given, self._access.csrf):
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "This page is from before threadkeep was started: load it again.",
            )
        return _replayed(body, receive)


async def _body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(HTTPStatus.BAD_REQUEST, "The request ended early.")
        body += bytes(message.get("body", b""))
        if len(body) > MOST_BODY_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This is too long to be saved.")
        if not message.get("more_body"):
            return body


def _fields(text: bytes) -> list[tuple[str, str]]:
    """The fields of a form or of an address. Raises Refused if they are too many."""
    try:
        decoded = text.decode("utf-8", "replace")
        return parse_qsl(decoded, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "This has too many fields.") from None


def _tokens(scope: Scope) -> list[str]:
    return [value for name, value in _fields(scope["query_string"]) if name == "token"]


def _check_origin(scope: Scope, headers: dict[bytes, str]) -> None:
    """Raises Refused for what another site asks for, but for a click on a link to a page."""
    origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
    refused = Refused(HTTPStatus.FORBIDDEN, "Another site asked for this.")
    changes = scope["method"] == "POST"
    document = headers.get(b"sec-fetch-dest") == "document"
    navigates = headers.get(b"sec-fetch-mode") == "navigate" and document and not changes
    if site not in (None, "same-origin", "none") and not navigates:
        raise refused
    if origin not in (None, "null") and origin != f"http://{headers[b'host']}":
        raise refused
    # A form sends the origin "null", as pages tell nobody where they are; a script of ours its own.
    if changes and origin in (None, "null") and site != "same-origin":
        raise refused


def _replayed(body: bytes, receive: Receive) -> Receive:
    first = True

    async def replay() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


def _headers(scope: Scope) -> dict[bytes, str]:
    return {name: value.decode("latin-1") for name, value in scope["headers"]}


def _cookies(headers: dict[bytes, str], name: str) -> list[str]:
    pairs = (pair.strip().partition("=") for pair in headers.get(b"cookie", "").split(";"))
    return [value for key, _, value in pairs if key == name]


def _bearer(headers: dict[bytes, str]) -> str:
    """The token that a program sends, which keeps no cookies; no browser sends it by itself."""
    scheme, _, token = headers.get(b"authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _same(given: str, known: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), known.encode())


def _without_token(scope: Scope) -> str:
    rest = urlencode([pair for pair in _fields(scope["query_string"]) if pair[0] != "token"])
    path = quote(scope["path"].replace("\\", "/"))
    path = "/" + path.lstrip("/")  # "//name" would lead to another site
    return f"{path}?{rest}" if rest else path


async def _enter(send: Send, target: str, access: Access) -> None:
    cookie = f"{access.cookie}={access.session}; Path=/; HttpOnly; SameSite=Strict"
    headers = [(b"location", target.encode()), (b"set-cookie", cookie.encode())]
    await _answer(send, HTTPStatus.SEE_OTHER, b"", headers)


async def _answer(
    send: Send, status: HTTPStatus, body: bytes, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    length = (b"content-length", str(len(body)).encode())
    kind = (b"content-type", b"text/html; charset=utf-8")
    start = {"type": "http.response.start", "status": status.value}
    await send({**start, "headers": [length, kind, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})


def _with_headers(scope: Scope, send: Send) -> Send:
    """Sends with the headers of all answers, as they come: a stream is not held back."""
    fixed = [*_HEADERS]
    fixed.append((b"cache-control", b"no-cache" if _is_static(scope) else b"no-store"))

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in fixed}
            given = [pair for pair in message.get("headers", ()) if pair[0].lower() not in names]
            message = {**message, "headers": [*given, *fixed]}
        await send(message)

    return sending


def _is_static(scope: Scope) -> bool:
    return bool(scope["path"].startswith(_STATIC))
