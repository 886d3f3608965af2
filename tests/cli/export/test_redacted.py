"""``export --redact``."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.redact.redactor import Redactor
from rollout.jsonl.parse import Line, parse_line
from tests.cli.export.test_export import KINDS
from tests.samples.rollouts import THREAD_ID
from tests.support.command import Cli
from tests.support.effort import examples
from tests.support.reading import call, cli, event, save, turn

__all__ = ["cli"]


SECRETS = [
    "ghp_" + "aB3dE6gH9" * 4,
    "AKIAQYLPMN5HFIQR7XYA",
    "sk-proj-" + "Zx9_Yw8-Vu7" * 4,
    "xoxb-123456789012-123456789012-abcdefghijklmnopqrstuvwx",
    "hunter2hunter2",
]


PRIVATE = [*SECRETS, "mia.meier@example.org", "/home/miameier", "miameier", "MIIEpAIBAAKCAQEA"]


@pytest.mark.parametrize("length", [100, 190])
def test_a_secret_where_a_prompt_is_cut_is_not_left_in_the_list_of_turns(
    cli: Cli, length: int
) -> None:
    asked = event("user_message", message=f"{'x' * length} {SECRETS[0]}", images=[])
    patched = event(
        "patch_apply_end",
        **{"call_id": "p", "stdout": "", "stderr": "", "success": True},
        status="completed",
        changes={f"/home/miameier/{SECRETS[0]}": {"type": "add", "content": "x"}},
    )
    turns = [[first, asked, patched, *rest] for first, _, *rest in (turn(1), turn(2))]
    save(cli.home, [line for lines in turns for line in lines])
    page = cli.run("export", THREAD_ID, "--format", "html", "--redact").out
    assert page.count("+1") > 1
    assert not re.search("ghp_|miameier", page)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_private_is_left_in_any_kind(cli: Cli, kind: str) -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nx\n-----END RSA PRIVATE KEY-----"
    text = (
        f"token {SECRETS[0]} and {SECRETS[1]}\nkey={SECRETS[2]}\n{SECRETS[3]}\n"
        f'password = "{SECRETS[4]}"\nmail\tMia.Meier@example.org,mia.meier@example.org\n'
        f"cd /home/miameier/code; ls -l: miameier staff\n{key}"
    )
    save(
        cli.home,
        turn(
            1,
            event("user_message", message=text, images=[]),
            event("agent_message", message=text),
            event("agent_reasoning", text=text),
            *call("shell_command", {"command": text, "workdir": "/home/miameier"}, text),
            *call(
                "exec_command",
                {"cmd": "x", "env": {"API_KEY": SECRETS[4]}},
                json.dumps({"output": text, "metadata": {"exit_code": 0}}),
                2,
            ),
            event(
                "patch_apply_end",
                call_id="p",
                stdout="",
                stderr="",
                success=True,
                status="completed",
                turn_id="",
                changes={"/home/miameier/x": {"type": "add", "content": text}},
            ),
        ),
    )
    plain = cli.run("export", THREAD_ID, "--format", kind).out
    assert all(secret in plain for secret in SECRETS)
    ran = cli.run("export", THREAD_ID, "--format", kind, "--redact")
    for secret in PRIVATE:
        assert secret.lower() not in ran.out.lower(), secret
    assert "question 1" in ran.out
    assert re.search(r"Redacted: .*\d+ × e-mail", ran.err)
    assert "home folder" in ran.err
    for secret in PRIVATE:
        assert secret not in ran.err
    if kind == "jsonl":
        for number, line in enumerate(ran.out.encode().splitlines()):
            assert isinstance(parse_line(Line(number, line)), dict)


@pytest.mark.parametrize(("kind", "shown"), [("md", 3), ("html", 6), ("json", 3)])
def test_prompts_that_are_titles_or_in_a_list_too_count_once(
    cli: Cli, kind: str, shown: int
) -> None:
    prompt = event("user_message", message=f"token {SECRETS[0]}", images=[])
    turns = [[first, prompt, *rest] for first, _, *rest in (turn(1), turn(2))]
    save(cli.home, [line for lines in turns for line in lines])
    ran = cli.run("export", THREAD_ID, "--format", kind, "--redact")
    assert "2 × GitHub Token" in ran.err
    assert ran.out.count("redacted GitHub Token") == shown


@given(
    st.lists(st.sampled_from(PRIVATE[:4] + PRIVATE[5:7]), min_size=1, max_size=4),
    st.lists(
        st.sampled_from([" ", "\n", "\t", '"', "'", ", ", "; ", "<", ">", "(", ")", "|"]),
        min_size=5,
        max_size=5,
    ),
)
@examples(300)
def test_secrets_go_wherever_they_stand(secrets: list[str], between: list[str]) -> None:
    text = between[0]
    for secret, mark in zip(secrets, between[1:], strict=False):
        text += secret + mark
    printed = "result: " + json.dumps({"x": [json.dumps({"password": "hunter2hunter2"})]})
    secrets = [*secrets, SECRETS[4]]
    for value in (text, json.dumps({"x": [text]}), {"x": [text, printed]}, [json.dumps([text])]):
        clean = json.dumps(Redactor().value(value))
        assert not [secret for secret in secrets if secret in clean]


def test_what_is_no_secret_stays() -> None:
    for text in (
        "01a1f8ef-3281-7de0-acfb-004f14c713e3",
        "commit 4f2a9c1be03d4f2a9c1be03d4f2a9c1be03d4f2a",
        "max_tokens=100000 token: next(tokens)",
        "git@github.com:openai/codex.git",
        "def password(user: str) -> None: ...",
        "/usr/share/doc and /home",
    ):
        assert Redactor().text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "key" + " " * 300_000 + "=",
        "a" * 300_000 + "token@",
        "a.b-" * 80_000 + "password",
        "token=" * 50_000,
        "a@" * 100_000,
        "-----BEGIN PRIVATE KEY-----" * 5_000,
        "/home/" * 50_000,
        '{"key":' * 50_000,
    ],
    ids=lambda text: text[:12],
)
def test_long_runs_do_not_take_for_ever(text: str) -> None:
    Redactor().value({"x": text})  # with patterns as they come it was minutes
