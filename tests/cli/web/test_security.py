"""Who is let in, and what is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from cli.web.pages import threads
from cli.web.security import MOST_BODY_BYTES, Access, is_loopback
from tests.cli.web.support import ADDRESS, BROWSER, SCRIPT, Web, small_home, web

OTHER_PORT = {**SCRIPT, "sec-fetch-site": "same-site", "origin": "http://127.0.0.1:3000"}
OTHER_SITE = {**SCRIPT, "sec-fetch-site": "cross-site", "origin": "https://evil.test"}


async def changed(request: Request) -> Response:
    return JSONResponse(dict(await request.form()) if await request.body() else {})


async def said(request: Request) -> Response:
    return PlainTextResponse("said")


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses that stand for those that change something, and for those that send events."""
    more = (
        Route("/change", changed, methods=["POST"]),
        Route("/events", said),
    )
    monkeypatch.setattr(threads, "ROUTES", (*threads.ROUTES, *more))


def ask(tmp_path: Path, work: Callable[[Web], Awaitable[Any]], **options: bool) -> Any:
    """What ``work`` gives with a client."""
    here = small_home(tmp_path)

    async def run() -> Any:
        async with web(here, **options) as client:
            return await work(client)

    return asyncio.run(run())


def test_the_token_is_exchanged_for_a_cookie_and_leaves_the_address(tmp_path: Path) -> None:
    async def enter(client: Web) -> None:
        token = client.site.access.token
        for address in ("/", "/?token=wrong", "/?token=", f"/?tokens={token}", "/static/style.css"):
            answer = await client.get(address)
            assert answer.status_code == 401
            assert "threadkeep web" in answer.text
            assert "prompt" not in answer.text
            assert "set-cookie" not in answer.headers
        answer = await client.get(f"/?q=a+b%26c&token={token}&q=%E2%82%AC")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/?q=a+b%26c&q=%E2%82%AC"
        cookie = answer.headers["set-cookie"]
        assert token not in cookie
        assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
        assert (await client.get("/")).status_code == 200
        # An address that was kept from another run leads on, too, but shows no token for long.
        assert (await client.get("/thread/x?token=old")).headers["location"] == "/thread/x"

    ask(tmp_path, enter, entered=False)


def test_the_exchange_leads_to_no_other_site(tmp_path: Path) -> None:
    async def enter(client: Web) -> None:
        for path in ("//evil.test/", "/\\evil.test", "/%2F%2Fevil.test", "/a%0d%0ab:c"):
            query = f"token={client.site.access.token}"
            url = httpx.URL(ADDRESS).copy_with(raw_path=f"{path}?{query}".encode())
            target = (await client.get(url)).headers["location"]
            assert httpx.URL(ADDRESS).join(target).host == "127.0.0.1"
            assert "\r" not in target
            assert not target.startswith("//")

    ask(tmp_path, enter, entered=False)


def test_a_cookie_of_another_server_or_a_guess_lets_nobody_in(tmp_path: Path) -> None:
    async def guess(client: Web) -> None:
        session = client.site.access.session
        for cookie in (
            f"threadkeep-7448={session}",
            f"threadkeep-7447={session[:-1]}",
            "threadkeep-7447=",
            f"threadkeep-7447={client.site.access.token}",
            "threadkeep-7447=é",
        ):
            headers = {b"cookie": cookie.encode("latin-1")}
            assert (await client.get("/", headers=headers)).status_code == 401
        beside = f"theme=dark; threadkeep-7447=x; threadkeep-7447={session}"
        assert (await client.get("/", headers={"cookie": beside})).status_code == 200

    ask(tmp_path, guess, entered=False)


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:7447", True),
        ("localhost:7447", True),
        ("LOCALHOST:7447", True),
        ("[::1]:7447", True),
        ("127.0.0.1", False),
        ("127.0.0.1:80", False),
        ("127.0.0.1:" + "9" * 5000, False),
        ("evil.test:7447", False),
        ("127.0.0.1.evil.test:7447", False),
        ("192.168.0.7:7447", False),
        ("", False),
        (":7447", False),
        ("127.0.0.1:7447@evil.test", False),
    ],
)
def test_only_our_own_names_are_answered(host: str, known: bool) -> None:
    assert Access(7447).knows_host(host) is known


def test_names_that_host_allows() -> None:
    assert Access(80).knows_host("localhost")
    named = Access(7447, host="box.lan")
    assert named.knows_host("box.lan:7447")
    assert not named.knows_host("192.168.0.7:7447")
    everywhere = Access(7447, host="0.0.0.0")
    assert everywhere.knows_host("192.168.0.7:7447")
    assert not everywhere.knows_host("evil.test:7447")
    assert Access(7447, host="::").knows_host("[fe80::1]:7447")
    assert [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9")] == [
        True
    ] * 4
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.0.7", "box.lan", ""))


@pytest.mark.usefixtures("routes")
def test_other_names_and_other_sites_are_refused(tmp_path: Path) -> None:
    async def refused(client: Web) -> None:
        assert (await client.get("/", headers={"host": "evil.test:7447"})).status_code == 421
        for other in (OTHER_PORT, OTHER_SITE):
            for address in ("/", "/events", "/static/style.css"):
                answer = await client.get(address, headers=other)
                assert answer.status_code == 403
                assert "said" not in answer.text
        framed = {**BROWSER, "sec-fetch-site": "cross-site", "sec-fetch-dest": "iframe"}
        assert (await client.get("/", headers=framed)).status_code == 403
        clicked = {**BROWSER, "sec-fetch-site": "cross-site"}
        assert (await client.get("/", headers=clicked)).status_code == 200
        ours = {**SCRIPT, "sec-fetch-site": "same-origin", "origin": ADDRESS}
        assert (await client.get("/events", headers=ours)).text == "said"
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"):
            assert (await client.request(method, "/")).status_code == 405

    ask(tmp_path, refused)


@pytest.mark.usefixtures("routes")
def test_a_change_needs_the_option_our_page_and_its_token(tmp_path: Path) -> None:
    async def change(client: Web) -> None:
        csrf = client.site.access.csrf
        form = {**BROWSER, "origin": "null"}  # as Chromium says it of a form without a referrer
        script = {**SCRIPT, "sec-fetch-site": "same-origin", "origin": ADDRESS}

        async def status(headers: dict[str, Any], data: dict[str, str]) -> int:
            return (await client.post("/change", headers=headers, data=data)).status_code

        assert await status(form, {"csrf": csrf}) == 200
        assert await status(script, {"csrf": csrf}) == 200
        assert await status({**script, "x-csrf-token": csrf}, {}) == 200
        assert await status(script, {}) == 403
        assert await status(script, {"csrf": csrf[:-1]}) == 403
        assert await status({**script, "x-csrf-token": "é".encode()}, {"csrf": csrf}) == 403
        assert await status(OTHER_PORT, {"csrf": csrf}) == 403
        assert await status({**BROWSER, **OTHER_SITE, "origin": "null"}, {"csrf": csrf}) == 403
        assert await status({**script, "origin": "http://localhost:7447"}, {"csrf": csrf}) == 403
        assert await status(script, {"csrf": csrf, "name": "x" * MOST_BODY_BYTES}) == 413
        assert await status(script, {"csrf": csrf} | {f"f{n}": "" for n in range(1001)}) == 400
        answer = await client.post("/change", headers=script, data={"csrf": csrf, "name": "é"})
        assert answer.json() == {"csrf": csrf, "name": "é"}, "the page gets what was sent"
        for name in BROWSER:
            del client.headers[name]
        assert await status({}, {"csrf": csrf}) == 403, "no browser says nothing of where it is"
        assert await status({"origin": "null"}, {"csrf": csrf}) == 403
        assert await status({"origin": ADDRESS}, {"csrf": csrf}) == 200

    ask(tmp_path, change, allow_changes=True)

    async def refused(client: Web) -> None:
        answer = await client.change("/change", name="x")
        assert answer.status_code == 403
        assert "--allow-changes" in answer.text

    ask(tmp_path / "read-only", refused)


def test_every_answer_tells_the_browser_what_it_may_do(tmp_path: Path) -> None:
    async def look(client: Web) -> None:
        for address in ("/", "/nothing", "/?token=x", "/static/style.css", "/static/none"):
            headers = (await client.get(address)).headers
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
            assert "unsafe" not in policy
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cross-origin-opener-policy"] == "same-origin"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            kept = "no-cache" if address.startswith("/static") else "no-store"
            assert headers["cache-control"] == kept
            assert "server" not in headers

    ask(tmp_path, look)


def test_no_address_leads_out_of_the_static_files(tmp_path: Path) -> None:
    paths = (
        *("../app.py", "%2e%2e/app.py", "..%2fapp.py", "%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd"),
        *("/etc/passwd", "%00", "a%00b", "x" * 5000, "", "style.css/x", "%C3%A9", "%ff"),
    )

    async def look(client: Web) -> None:
        for path in paths:
            url = httpx.URL(ADDRESS).copy_with(raw_path=f"/static/{path}".encode())
            answer = await client.get(url)
            assert answer.status_code == 404, path
            assert "root:" not in answer.text
            assert "make_app" not in answer.text

    ask(tmp_path, look)


def test_what_is_too_long_is_refused(tmp_path: Path) -> None:
    async def look(client: Web) -> None:
        assert (await client.get("/?q=" + "x" * 10_000)).status_code == 414
        assert (await client.get("/" + "x" * 10_000)).status_code == 414
        assert (await client.get("/?" + "&" * 2000 + "token=x")).status_code == 400
        assert (await client.get("/?" + "a&" * 2000)).status_code == 400

    ask(tmp_path, look)
