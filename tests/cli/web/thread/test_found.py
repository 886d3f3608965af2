"""A search in a thread."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.cli.web.support import Web
from tests.cli.web.thread.support import URL, ask, shown, talk
from tests.support.reading import call, event, turn


def heard(html: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in html.splitlines()]


def places(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = [place for part in parts for place in part.get("places", ())]
    return sorted(found, key=lambda place: place["order"])


def talks(tmp_path: Path) -> Path:
    told = [
        turn(n, event("agent_message", message=f"answer {n} " + "x" * 9_000)) for n in range(30)
    ]
    told[20] += turn(
        99,
        event("agent_message", message="The Needle is *here*: needle, <b>needle</b>"),
        *call("shell_command", {"command": "grep needle"}, "a\n" * 50 + "the needle and thread"),
    )
    return talk(tmp_path, *told)


def test_a_script_hears_of_matches_as_they_are_found(tmp_path: Path) -> None:
    talks(tmp_path)

    async def look(client: Web) -> None:
        url = f"{URL}/search?{urlencode({'q': 'needle', 'stream': 1})}"
        parts = heard(await shown(client, url, script=True))
        assert parts[0] == {"terms": [["needle"]]}
        assert parts[-1] == {"done": True, "matches": 5, "more": False}
        assert [part["part"] for part in parts if "part" in part][-1] == 1.0
        message, command = places(parts)
        assert (message["number"], message["role"]) == (22, "agent")
        assert [text for text, marked in message["line"] if marked] == [
            "Needle",
            "needle",
            "needle",
        ]
        assert "grep " in command["line"][0][0]
        # What a match is in is on the page that it names.
        html = await shown(
            client, f"{URL}/turns?{urlencode({'from': message['spot']})}", script=True
        )
        assert f'data-turn="{message["turn"]}"' in html
        assert f'data-block="{message["block"]}"' in html
        near = urlencode({"q": "question", "stream": 1, "near": message["turn"]})
        first = next(
            part for part in heard(await shown(client, f"{URL}/search?{near}")) if "places" in part
        )
        assert 22 in {place["number"] for place in first["places"]}

    ask(tmp_path, look)


def test_matches_have_a_page_where_there_is_no_script(tmp_path: Path) -> None:
    talks(tmp_path)

    async def look(client: Web) -> None:
        html = await shown(client, f"{URL}/search?q=needle")
        assert "2 messages" in html
        assert html.count(f'<a href="{URL}?turn=22#turn-22">') == 2
        assert "<mark>Needle</mark>" in html
        assert "&lt;b&gt;<mark>needle</mark>&lt;/b&gt;" in html
        assert "Nothing in this thread matches" in await shown(client, f"{URL}/search?q=nowhere")

    ask(tmp_path, look)


def test_a_thread_opens_where_the_list_found_something(tmp_path: Path) -> None:
    talks(tmp_path)

    async def look(client: Web) -> None:
        html = await shown(client, f"{URL}?{urlencode({'find': 'grep needle'})}")
        assert re.findall(r'data-number="(\d+)"', html)[0] == "22"
        assert re.search(r'data-hit="\d+\.\d+" data-hit-at="0\.0\.', html)
        assert 'value="grep needle"' in html
        nothing = await shown(client, f"{URL}?{urlencode({'find': 'nowhere at all'})}")
        assert re.findall(r'data-number="(\d+)"', nothing)[-1] == "31"  # the end
        assert "data-hit" not in nothing
        assert "data-hit" not in await shown(client, f"{URL}?find=...")

    ask(tmp_path, look)


def test_a_search_tells_what_ends_it(tmp_path: Path) -> None:
    path = talks(tmp_path)

    async def look(client: Web) -> None:
        gone = urlencode({"q": "x", "stream": 1, "near": "0.0.7.nothing"})
        assert "no such turn" in heard(await shown(client, f"{URL}/search?{gone}"))[-1]["error"]
        await shown(client, URL)
        path.chmod(0)
        answer = await client.get(f"{URL}/search?q=needle&stream=1")
        assert answer.status_code in (200, 404, 500)  # root reads it all the same

    ask(tmp_path, look)
