"""The prompts that users pick in their client."""

from pathlib import Path

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import TextContent

from tests.cli.mcp.support import asked, indexed
from tests.samples.homes import encoded, event, lines, thread_id, write

STAMP = "2026-05-28T20:00:00.000Z"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with threads in two folders, one of which is there."""
    folder = tmp_path_factory.mktemp("home")
    there = folder.parent / "there"
    there.mkdir()
    for number in range(4):
        said = [
            event(STAMP, "agent_message", message=f"early {number}"),
            event(STAMP, "user_message", message=f"and then {number}"),
            event(STAMP, "agent_message", message=f"We keep keyset cursors, as of {number}."),
        ]
        cwd = str(there) if number < 3 else "/elsewhere/demo"
        write(folder, number, encoded([*lines(number, f"begin {number}", cwd=cwd), *said]))
    indexed(folder)
    return folder


async def told(client: Client, prompt: str, **arguments: str) -> str:
    """The only message of a prompt."""
    (message,) = (await client.get_prompt(prompt, arguments)).messages
    assert message.role == "user"
    assert isinstance(message.content, TextContent)
    return message.content.text


def test_going_on_begins_with_the_end_of_the_last_thread(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.parent / "there")

    async def work(client: Client) -> None:
        names = {prompt.name: prompt.title for prompt in (await client.list_prompts()).prompts}
        assert names["go_on"] == "Go on where we were in this project"
        text = await told(client, "go_on")
        assert "in the project there." in text
        order = [text.index(thread_id(number)) for number in (2, 1, 0)]
        assert order == sorted(order)
        assert thread_id(3) not in text
        assert "2. and then 2" in text
        assert text.rstrip().endswith("We keep keyset cursors, as of 2.")
        assert "early 2" not in text
        text = await told(client, "go_on", project="demo")
        assert "as of 3." in text
        assert thread_id(2) not in text
        with pytest.raises(MCPError, match="no thread is of a project 'dem'; similar: demo"):
            await told(client, "go_on", project="dem")
        with pytest.raises(MCPError, match="no argument 'folder'; there are: project"):
            await told(client, "go_on", folder="demo")
        monkeypatch.chdir(home)
        text = await told(client, "go_on")
        assert f"No thread (past session) of the project {home.name} is known" in text

    asked(home, work)


def test_what_was_decided_is_searched_for(home: Path) -> None:
    async def work(client: Client) -> None:
        text = await told(client, "what_did_we_decide", about="why keyset cursors?")
        assert "What did we decide about this, when and why: why keyset cursors?" in text
        assert all(thread_id(number) in text for number in range(4))
        assert "turn 2, agent: We keep keyset cursors, as of 1." in text
        text = await told(client, "what_did_we_decide", about="keyset", project="demo")
        assert "of the project demo" in text
        assert thread_id(2) not in text
        text = await told(client, "what_did_we_decide", about="unheard")
        assert "Nothing matches." in text
        with pytest.raises(MCPError, match="give words"):
            await told(client, "what_did_we_decide", about="?!")
        with pytest.raises(MCPError, match="'about' is missing"):
            await told(client, "what_did_we_decide")
        with pytest.raises(MCPError, match="no prompt 'what'; there are: go_on"):
            await told(client, "what")

    asked(home, work)
