"""No secret is in any answer, whatever it is an answer to."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import ResourceTemplateReference

from cli.mcp.redaction import Redaction
from tests.cli.mcp.support import asked, indexed
from tests.samples.homes import encoded, event, lines, thread_id, write

TOKEN = "ghp_" + "aB3dE6gH9" * 4
PASSWORD = "hunter2hunter2"
KEY_LINE = "MIIEpAIBAAKCAQEA" + "x9Q/" * 12
SECRETS = [
    TOKEN,
    "AKIAQYLPMN5HFIQR7XYA",
    "sk-proj-" + "Zx9_Yw8-Vu7" * 4,
    "xoxb-123456789012-123456789012-abcdefghijklmnopqrstuvwx",
    PASSWORD,
    KEY_LINE,
]
KEY = "\n".join(
    ["-----BEGIN RSA PRIVATE KEY-----", *[KEY_LINE] * 50, "-----END RSA PRIVATE KEY-----"]
)
SAID = (
    f"deploy with {TOKEN} and {SECRETS[1]}\nkey={SECRETS[2]}\n{SECRETS[3]}\n"
    f'password = "{PASSWORD}"\nmail mia@example.org\n{KEY}\n'
)
NAME = f"{'Deploy it again and ' * 3}with {TOKEN} and again"
STAMP = "2026-05-28T20:00:00.000Z"


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return {"timestamp": STAMP, "type": "response_item", "payload": {"type": kind, **fields}}


def called(name: str, number: int, arguments: Any, output: str) -> list[dict[str, Any]]:
    id_ = f"call{number}"
    return [
        item("function_call", name=name, arguments=json.dumps(arguments), call_id=id_),
        item("function_call_output", call_id=id_, output=output),
    ]


def patch(path: str, content: str) -> dict[str, Any]:
    return event(
        STAMP,
        "patch_apply_end",
        call_id=path,
        changes={path: {"type": "add", "content": content}},
        stdout=f"Success. Updated the following files:\nA {path}\n",
        **{"stderr": "", "success": True, "status": "completed"},
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with secrets wherever a thread may have some."""
    folder = tmp_path_factory.mktemp("home")
    for number in (1, 2):
        padding = "pad " * 40  # the secret is where titles and passages are cut
        meta: dict[str, Any] = {"cwd": f"/w/{TOKEN}", "git": {"branch": f"fix-{TOKEN}"}}
        said = [
            event(STAMP, "user_message", message=f"{padding}{TOKEN} deploy {SAID}"),
            event(STAMP, "agent_message", message=f"{'Deployed. ' * 30}{SAID}"),
            event(STAMP, "agent_reasoning", text=SAID),
            *called("shell_command", 1, {"command": f"echo {SAID}"}, "lines\n" * 40 + KEY),
            *called("exec_command", 2, {"cmd": "x", "env": {"API_KEY": PASSWORD}}, SAID),
            *called(
                "shell_command", 3, {"command": "cat k"}, "x" * 1990 + TOKEN + "\n" + "y\n" * 50
            ),
            patch(f"/w/{TOKEN}/app.py", SAID + "z\n" * 4000),
            patch("/w/app.py", "y" * 7995 + TOKEN),
        ]
        write(folder, number, encoded([*lines(number, **meta)[:2], *said, *lines(number)[2:]]))
        name = {"id": thread_id(number), "thread_name": NAME, "updated_at": "2026-05-28"}
        with (folder / "session_index.jsonl").open("a") as names:
            names.write(json.dumps(name) + "\n")
    indexed(folder)
    return folder


async def answers(client: Client) -> list[str]:
    """All that the server tells, as JSON."""
    one, parts = thread_id(1), ["messages", "tools", "patches", "reasoning"]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("list_threads", {}),
        ("list_threads", {"query": "deploy", "max_tokens": 200}),
        ("search_threads", {"query": "deploy pad"}),
        ("search_threads", {"query": "Deployed nothing key"}),
        ("search_threads", {"query": TOKEN[:20] + "*"}),
        ("current_project", {}),
        ("thread_outline", {"thread": one}),
        ("thread_outline", {"thread": NAME}),
        ("read_turns", {"thread": NAME}),
        *(
            ("read_turns", {"thread": one, "include": [part], "max_tokens": 9_000})
            for part in parts
        ),
        ("find_file_changes", {"path": "app.py"}),
        ("find_file_changes", {"path": "app.py", "with_patch": True, "max_tokens": 9_000}),
        *(("usage_summary", {"by": by, "since": "all"}) for by in ("thread", "project", "branch")),
    ]
    told: list[Any] = [await client.call_tool(name, arguments) for name, arguments in calls]
    changes = [each for (name, _), each in zip(calls, told, strict=True) if "file" in name]
    assert [len(each.structured_content["threads"]) for each in changes] == [2, 2]
    assert {name for name, _ in calls} == {tool.name for tool in (await client.list_tools()).tools}
    for page in range(0, 40, 7):  # wherever pages end
        arguments = {"thread": one, "include": parts, "from_turn": 1, "max_tokens": 200 + page}
        told.append(await client.call_tool("read_turns", arguments))
        cursor = (told[-1].structured_content or {}).get("next_cursor", "")
        told.append(await client.call_tool("read_turns", {**arguments, "cursor": cursor}))
    prompts: dict[str, dict[str, str]] = {
        "go_on": {"project": f"/w/{TOKEN}"},
        "what_did_we_decide": {"about": "deploy pad"},
    }
    assert {*prompts} == {prompt.name for prompt in (await client.list_prompts()).prompts}
    told += [await client.get_prompt(name, arguments) for name, arguments in prompts.items()]
    told.append(await client.read_resource(f"thread://{one}"))
    told += [await client.list_resources(), await client.list_resource_templates()]
    template = ResourceTemplateReference(type="ref/resource", uri="thread://{id}")
    told.append(await client.complete(template, {"name": "id", "value": "0"}))
    with pytest.raises(MCPError) as refusal:
        await client.read_resource(f"thread://{quote(NAME, safe='')}")
    with pytest.raises(MCPError) as another:
        await client.get_prompt("go_on", {"project": f"/w/{TOKEN}\0"})
    return [*(each.model_dump_json() for each in told), str(refusal.value), str(another.value)]


def test_no_answer_has_a_secret(home: Path) -> None:
    async def work(client: Client) -> None:
        for told in await answers(client):
            assert not [secret for secret in SECRETS if secret[:12] in told or secret[-12:] in told]

    asked(home, work)


def test_secrets_stay_on_request(home: Path) -> None:
    async def work(client: Client) -> None:
        every = "\n".join(await answers(client))
        assert not [secret for secret in SECRETS if secret not in every]

    asked(home, work, redact=False)


def test_a_passage_has_no_part_of_a_secret_beside_what_is_searched_for(tmp_path: Path) -> None:
    home = tmp_path / "home"
    tokens = [f"ghp_{number:02}" + "aB3dE6gH9" * 4 for number in range(60)]
    keys = "".join(f'export K{n}="{token}"; run deploy\n' for n, token in enumerate(tokens))
    said = event(STAMP, "user_message", message=f"An .env:\n{keys}ende")
    first, *_, last = lines(1)
    write(home, 1, encoded([first, said, last]))
    indexed(home)

    async def work(client: Client) -> None:
        for query in ("ghp*", "deploy", "ende", *(f"{token[:12]}*" for token in tokens[::7])):
            answer = await client.call_tool("search_threads", {"query": query})
            (thread,) = (answer.structured_content or {})["complete"]
            assert "3dE6" not in answer.model_dump_json()
            assert ("passages" in thread) == (query in ("deploy", "ende"))

    asked(home, work)


def test_pieces_of_texts_have_no_part_of_a_secret() -> None:
    redaction, text = Redaction(on=True), f"a {TOKEN} " * 40
    for start in range(0, 200, 7):
        for end in range(600, 700, 7):
            assert "aB3d" not in redaction.redacted_piece(text, start, end)
    assert "会" in redaction.redacted_piece("会議" * 400, 100, 700)
    assert redaction.redacted_piece("short", -5, 10) == "short"
    assert Redaction(on=False).redacted_piece("abcdefg", 1, 3) == "bc"
