"""Who is let in, and what is refused."""

import asyncio
from pathlib import Path

from tests.cli.web.support import BROWSER, small_home, web


def test_the_token_is_exchanged_for_a_cookie_and_leaves_the_address(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def enter() -> None:
        async with web(here, entered=False) as client:
            assert (await client.get("/")).status_code == 401
            assert (await client.get("/?token=wrong")).status_code == 401
            token = client.site.access.token
            answer = await client.get(f"/?q=a+b&token={token}")
            assert answer.status_code == 303
            assert answer.headers["location"] == "/?q=a+b"
            cookie = answer.headers["set-cookie"]
            assert token not in cookie
            assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
            assert (await client.get("/")).status_code == 200

    asyncio.run(enter())


def test_other_names_and_other_sites_are_refused(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def ask() -> None:
        async with web(here) as client:
            assert (await client.get("/", headers={"host": "evil.test:7447"})).status_code == 421
            other = {**BROWSER, "sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}
            assert (await client.get("/", headers=other)).status_code == 403

    asyncio.run(ask())
