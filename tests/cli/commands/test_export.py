"""``export``: threads as files that stand by themselves."""

import json
import os
import re
import socket
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cli.errors import RedactorMissing
from cli.redact import secrets
from cli.redact.redactor import Redactor
from cli.render.html import POLICY, rendered
from cli.render.markdown import fenced, inline
from cli.render.markdown_quote import quoted
from cli.terminal.text import one_line, shortened
from rollout.jsonl.parse import Line, parse_line
from tests.cli.test_terminal import HOSTILE
from tests.samples.rollouts import THREAD_ID
from tests.support.command import COMMAND, Cli, thread_id, write_rollout
from tests.support.reading import NEVER, call, cli, corpus, event, save, turn

__all__ = ["cli", "corpus"]

KINDS = ["md", "html", "json", "jsonl"]
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAC"
    "hwGA60e6kgAAAABJRU5ErkJggg=="
)
SECRETS = [
    "ghp_" + "aB3dE6gH9" * 4,
    "AKIAQYLPMN5HFIQR7XYA",
    "sk-proj-" + "Zx9_Yw8-Vu7" * 4,
    "xoxb-123456789012-123456789012-abcdefghijklmnopqrstuvwx",
    "hunter2hunter2",
]
PRIVATE = [*SECRETS, "mia.meier@example.org", "/home/miameier", "miameier", "MIIEpAIBAAKCAQEA"]
HOSTILE_HTML = (
    "</pre></details></main><script>alert(1)</script><img src=http://x/y.png onerror=alert(1)>"
    "![x](http://x/y.png) ![y](data:image/svg+xml;base64,AAAA) [z](javascript:alert(1))"
    " <!-- & ]]> &lt; \" ' &#8238; &#x1b;[31m " + HOSTILE
)


def well_formed(html: str) -> ElementTree.Element:
    """The page, which is also XML; nothing in it runs, and nothing is loaded."""
    assert html.startswith('<!DOCTYPE html>\n<html lang="en">')
    root = ElementTree.fromstring(html.partition("\n")[2])
    for each in root.iter():
        assert each.tag not in ("script", "iframe", "object", "link", "form", "base"), each.tag
        assert not [name for name in each.attrib if name.startswith("on")]
        assert (each.get("src") or "data:image/").startswith("data:image/")
        href = each.get("href") or "#"
        assert href.startswith(("#", "http", "mailto:")) or ":" not in href, href
    (policy,) = (each for each in root.iter("meta") if each.get("http-equiv"))
    assert policy.get("content") == POLICY
    return root


def hostile_thread(home: Path, text: str) -> Path:
    said = [
        event("agent_message", message=text),
        event("agent_reasoning", text=text),
        *call("shell_command", {"command": text}, text),
        *call(text or "x", {text: text}, text, 2),
        *call("apply_patch", {"x": text}, text, 3),
    ]
    return save(home, turn(1, event("user_message", message=text, images=[PNG]), *said))


def test_markdown_of_a_thread(cli: Cli) -> None:
    save(
        cli.home,
        turn(
            1,
            *call("shell_command", {"command": "cat a.md"}, "```\ncode\n```"),
            event("agent_message", message="Some **text**\n\n```py\nx\n```"),
        ),
    )
    assert (
        cli.run("export", THREAD_ID).out.partition("\n## ")[2].partition("\n")[2]
        == """
**user**

```text
question 1
```

**command**

```sh
$ cat a.md
```

<details><summary>3 lines</summary>

````
```
code
```
````

</details>

**agent**

> Some **text**
>
> ```py
> x
> ```
"""
    )


@given(st.text("`ab \n", max_size=40) | st.text(max_size=40))
@example("``` ````\n`")
def test_markdown_gives_back_what_was_put_in_code(text: str) -> None:
    text = re.sub("[\r\0\f\v\x1c-\x1e\x85\u2028\u2029]", "", text)
    tokens = MarkdownIt("commonmark").parse(f"before\n\n{fenced(text)}\n\nbehind")
    (code,) = (token for token in tokens if token.type == "fence")
    assert code.content == f"{text}\n" or (not text and code.content == "\n")
    assert tokens[-2].content == "behind"
    line = " ".join(text.split())
    if line:
        (token,) = MarkdownIt("commonmark").parseInline(f"a{inline(line)}b")
        kinds = [child.type for child in token.children or ()]
        assert "code_inline" in kinds or line == "`"


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("plain", True),
        ("```\nclosed\n```", True),
        ("```\nopen", True),
        ("~~~~\nopen\n~~~", True),
        ("<!-- open", False),
        ("a <details> b", False),
        ("- list\n\n  ```\n  open in it", True),
        ("> " * 10, True),
        ("> " * 2000, False),
        ("> " * 30 + "<script>", False),
        ("```\n\tcode with a tab\n```", True),
        ("\tcode by a tab alone", False),
        ("`![code](http://x/y.png)`", True),
        ("`![code](x)` ![image](http://x/y.png)", False),
    ],
)
def test_a_message_is_markdown_only_where_it_changes_nothing_else(text: str, alone: bool) -> None:
    assert (quoted(text) is not None) is alone


@pytest.mark.parametrize(
    ("text", "quotation"),
    [
        ("# big\n\n**user**", "> # big\n>\n> **user**\n"),
        ("a ![i](http://x/y.png)", "> a \\![i](http://x/y.png)\n"),
        ("a\n\n[docs]: http://x", "> a\n>\n> \\[docs]: http://x\n"),
        ("- > [docs]: http://x", "> - > \\[docs]: http://x\n"),
        ("[^1]: a footnote", "> \\[^1]: a footnote\n"),
        ("```\n[a]: b\n![c](d)\n```", "> ```\n> [a]: b\n> ![c](d)\n> ```\n"),
        ("[docs](http://x) is [this]: no", "> [docs](http://x) is [this]: no\n"),
    ],
)
def test_a_message_is_quoted_without_what_it_would_do(text: str, quotation: str) -> None:
    assert quoted(text) == quotation


PIECES = ["[a]", "[^1]", ": http://x ", "![i]", "(http://x/y)", "> ", "- ", "1. ", "\n", "\t", "#"]
PIECES += [
    "    ",
    "`",
    "```",
    "~~~",
    "---",
    "===",
    "<b>",
    "<!--",
    "\\",
    "*",
    "turn",
    "\n\n",
    "&lt;",
]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=40))
@settings(max_examples=400)
def test_nothing_in_a_message_is_outside_of_its_quotation(text: str) -> None:
    text = re.sub("[\r\0\f\v\x1c-\x1e\x85\u2028\u2029]", "", text).strip("\n")
    made = quoted(text) or fenced(text, "markdown")
    found: dict[str, Any] = {}
    tokens = MarkdownIt("commonmark").parse(f"[a] b\n\n{made}\n\n## ours [a] [^1]\n", found)
    outside = [token for token in tokens if token.level == 0]
    kinds = [token.type for token in outside]
    assert kinds[:2] == ["paragraph_open", "paragraph_close"]
    assert kinds[-2:] == ["heading_open", "heading_close"]
    assert kinds[2:-2] in (["blockquote_open", "blockquote_close"], ["fence"])
    assert not found.get("references")
    inner = [*tokens, *(child for token in tokens for child in token.children or ())]
    assert not {"image", "html_block", "html_inline"} & {token.type for token in inner}


def test_nobody_forges_the_structure_of_an_export(cli: Cli) -> None:
    forged = "## turn 9 · now\n\n**user**\n\nrm -rf\n\n[docs]: http://evil\n\n![i](http://evil/x)"
    said = [
        event(f"agent_{kind}", message=forged, text=forged) for kind in ("message", "reasoning")
    ]
    save(
        cli.home,
        [
            *turn(1, event("user_message", message=forged, images=[]), *said),
            *turn(2, event("agent_message", message="See [docs].")),
        ],
    )
    found: dict[str, Any] = {}
    tokens = MarkdownIt("commonmark").parse(cli.run("export", THREAD_ID).out, found)
    outside = [
        behind.content
        for token, behind in pairwise(tokens)
        if token.level == 0 and token.type in ("heading_open", "paragraph_open")
    ]
    assert [text.split(" · ")[0] for text in outside] == [
        *("question 1", "turn 1", "**user**", "**user**", "**agent**", "**reasoning**"),
        *("turn 2", "**user**", "**agent**"),
    ]
    assert not found.get("references")
    inner = [child for token in tokens for child in token.children or ()]
    assert "image" not in {child.type for child in inner}


def test_hostile_texts_give_a_harmless_page(cli: Cli) -> None:
    hostile_thread(cli.home, HOSTILE_HTML)
    ran = cli.run("export", THREAD_ID, "--format", "html")
    root = well_formed(ran.out)
    assert not NEVER.search(ran.out)
    assert [each.get("src") for each in root.iter("img")] == [PNG]
    assert "<script>alert(1)" in "".join(root.itertext())


@given(st.text(max_size=60) | st.text("<>&\"'`*_[]()!#-=\n |\\:;&#x1b", max_size=60))
@settings(max_examples=300)
def test_markdown_of_any_text_is_well_formed_in_a_page(text: str) -> None:
    made = rendered(text.encode("utf-8", "replace").decode())
    clean = re.sub("[\ufffe\uffff]", "", made)
    ElementTree.fromstring(f"<div>{clean}</div>")
    assert "<script" not in made.lower()
    assert not NEVER.search(made)


def test_every_thread_of_the_corpus_becomes_each_kind(corpus: Cli, tmp_path: Path) -> None:
    ids = set(corpus.ids("--all", "--all-sources")) | set(corpus.ids("--all", "--archived"))
    for kind in KINDS:
        folder = tmp_path / kind
        folder.mkdir()
        options = ("--format", kind, "--output", str(folder), "--json")
        ran = corpus.run("export", *sorted(ids), *options)
        done = ran.json
        assert {each["id"] for each in done["exported"]} == ids
        assert done["failed"] == []
        for each in done["exported"]:
            content = Path(each["path"]).read_bytes()
            assert len(content) == each["sizeBytes"] > 0
            if kind == "html":
                well_formed(content.decode())
            elif kind == "json":
                assert json.loads(content)["thread"]["id"] == each["id"]
            if kind in ("md", "html"):
                assert not NEVER.search(content.decode())


def test_raw_lines_are_those_of_the_file(cli: Cli) -> None:
    path = save(cli.home, [*turn(1), *turn(2)])
    path.write_bytes(path.read_bytes() + b'{"torn')
    out = cli.run("export", THREAD_ID, "--format", "jsonl").out
    assert out.encode() == path.read_bytes() + b"\n"


def test_raw_lines_of_a_fork_begin_with_those_of_its_source(corpus: Cli) -> None:
    out = corpus.run("export", "01a1f8ef-3281", "--format", "jsonl").out
    lines = [json.loads(line) for line in out.splitlines()]
    ordinals = [line["ordinal"] for line in lines]
    assert ordinals == sorted(ordinals)
    metas = [line for line in lines if line["type"] == "session_meta"]
    assert [meta["payload"]["id"][:13] for meta in metas] == ["01a1f8ef-3281"]
    texts = [line for line in lines if "Split big_module.py" in json.dumps(line)]
    assert texts


def test_files_are_whole_private_and_named(cli: Cli, tmp_path: Path) -> None:
    for number in (1, 2):
        write_rollout(cli.home, number, "hello")
    ids = [thread_id(1), thread_id(2)]
    folder = tmp_path / "out"
    folder.mkdir()
    ran = cli.run("export", *ids, "-o", str(folder), "--format", "html")
    assert ran.lines == [str(folder / f"{id_}.html") for id_ in ids]
    assert sorted(os.listdir(folder)) == [f"{id_}.html" for id_ in ids]
    assert (folder / f"{ids[0]}.html").stat().st_mode & 0o777 == 0o600
    cli.run("export", ids[0], "-o", str(folder / "x.json"))
    assert json.loads((folder / "x.json").read_bytes())["thread"]["id"] == ids[0]
    listed = cli.run("export", "-", "-o", str(folder), stdin="\n".join(ids))
    assert listed.lines == [str(folder / f"{id_}.md") for id_ in ids]
    ran = cli.run("export", ids[0], "nobody", "-o", str(folder), status=6)
    assert "nobody" in ran.err
    assert "threadkeep list" in ran.err
    assert len(ran.lines) == 1


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([], 2),
        (["a", "b"], 2),
        (["-"], 2),
        ([thread_id(1), "--format", "pdf"], 2),
        ([thread_id(1), "--json"], 2),
        (["nobody"], 3),
        ([thread_id(1), "-o", "no/such/folder/x.md"], 2),
        ([thread_id(1), "-o", "no/such/folder/"], 2),
    ],
    ids=str,
)
def test_what_cannot_be_exported_is_refused(cli: Cli, words: list[str], status: int) -> None:
    write_rollout(cli.home, 1, "hello")
    ran = cli.run("export", *words, status=status)
    assert ran.out == ""
    assert ran.err


def test_a_folder_is_made_if_it_is_named_as_one(cli: Cli, tmp_path: Path) -> None:
    write_rollout(cli.home, 1, "hello")
    write_rollout(cli.home, 2, "hello")
    ids = [thread_id(1), thread_id(2)]
    assert cli.run("export", ids[0], "-o", "one/").lines == [f"one/{ids[0]}.md"]
    assert [path.name for path in (tmp_path / "one").iterdir()] == [f"{ids[0]}.md"]
    assert len(cli.run("export", *ids, "-o", "two/").lines) == 2
    (tmp_path / "file").touch()
    assert "file is not a folder" in cli.run("export", ids[0], "-o", "file/", status=2).err
    cli.run("export", "nobody", "-o", "three/", status=3)
    assert not (tmp_path / "three").exists()
    for words in (["export", ids[0], "-o", "no/x.md"], ["stats", "--html", "no/x.html"]):
        assert "there is no folder no: create it first" in cli.run(*words, status=2).err


def test_a_thread_that_is_named_twice_is_written_once(cli: Cli, tmp_path: Path) -> None:
    path = write_rollout(cli.home, 1, "hello")
    id_ = thread_id(1)
    assert cli.run("export", id_, id_).out == cli.run("export", id_).out
    names = [id_, id_.upper(), id_[:23], str(path), id_]
    assert cli.run("export", *names, "-o", "out/").lines == [f"out/{id_}.md"]
    listed = cli.run("export", "-", "-o", "out/", "--json", stdin="\n".join(names)).json
    assert [each["id"] for each in listed["exported"]] == [id_]


def test_nothing_is_written_over_threads_or_the_index(cli: Cli, tmp_path: Path) -> None:
    rollout = write_rollout(cli.home, 1, "hello")
    cli.run("list")
    link = tmp_path / "link.md"
    link.symlink_to(rollout)
    names = cli.home / "session_index.jsonl"
    names.touch()
    targets = [rollout, cli.home, names, link, cli.index, Path(f"{cli.index}-wal")]
    before = [path.read_bytes() for path in (rollout, names, cli.index)]
    for target in targets:
        for words in (["export", thread_id(1), "-o"], ["stats", "--html"]):
            refused = cli.run(*words, str(target), status=2)
            assert "nothing may be written" in refused.err or "belongs to the index" in refused.err
    assert [path.read_bytes() for path in (rollout, names, cli.index)] == before


def test_help_shows_that_several_threads_are_taken(cli: Cli) -> None:
    assert "[OPTIONS] {THREAD...}" in cli.run("export", "--help").out
    assert "[OPTIONS] [THREAD...]" in cli.run("archive", "--help").out
    assert "THREAD..." in cli.run("export", status=2).err


@pytest.mark.parametrize("kind", ["md", "html", "show"])
def test_long_titles_are_cut_in_headings(cli: Cli, kind: str) -> None:
    text = "word " * 23 + "e\u0301" * 500
    path = save(cli.home, turn(1))
    path.write_text(path.read_text().replace("question 1", text))
    words = ["show", THREAD_ID] if kind == "show" else ["export", THREAD_ID, "--format", kind]
    out = cli.run(*words).out
    cut = "word " * 23 + "e\u0301" * 2 + "…"
    assert len(cut) == 120
    mark = {"md": f"# {cut}\n", "html": f"<h1>{cut}</h1>", "show": f"{cut}\n"}[kind]
    assert mark in out
    assert text in out
    if kind == "html":
        assert f"<title>{cut}</title>" in out


@given(st.text() | st.text("a \u0301\U0001f44d\U0001f3fd", max_size=40), st.integers(2, 30))
def test_a_shortened_line_is_whole_characters_of_the_line(text: str, most: int) -> None:
    line = one_line(text)
    made = shortened(line, most)
    assert len(made) <= most
    if len(line) <= most:
        assert made == line
    else:
        assert made.endswith("…")
        assert line.startswith(made[:-1])
        rest = line[len(made) - 1 :].lstrip()
        assert rest[0] not in "\u0301\U0001f3fd" or len(made) == most


def test_what_is_no_file_stays_what_it_is(cli: Cli, tmp_path: Path) -> None:
    write_rollout(cli.home, 1, "hello")
    os.mkfifo(tmp_path / "pipe.md")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.md"))
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "link.md").symlink_to("pipe.md")
    (tmp_path / "device.md").symlink_to(os.devnull)
    names = {"pipe": "a pipe", "socket": "a socket", "link": "a pipe", "device": "a device"}
    before = {path.name: path.lstat().st_mode for path in tmp_path.iterdir()}
    for name, what in (names | {"folder": "a folder"}).items():
        for words in (["export", thread_id(1), "-o"], ["stats", "--html"]):
            if name != "folder" or words[0] == "stats":
                ran = cli.run(*words, f"{name}.md", status=2)
                assert f"{name}.md is {what}, " in ran.err
                assert "-o FILE" in ran.err
                assert ran.out == ""
    assert {name: (tmp_path / name).lstat().st_mode for name in before} == before


def test_what_is_no_file_stays_in_a_folder_too(cli: Cli, tmp_path: Path) -> None:
    write_rollout(cli.home, 1, "hello")
    write_rollout(cli.home, 2, "hello")
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / f"{thread_id(1)}.md")
    done = cli.run("export", thread_id(1), thread_id(2), "-o", "out", "--json", status=6).json
    assert [each["id"] for each in done["exported"]] == [thread_id(2)]
    assert [each["kind"] for each in done["failed"]] == ["no_regular_file"]
    assert (tmp_path / "out" / f"{thread_id(1)}.md").is_fifo()


@pytest.mark.parametrize("linked", [False, True])
def test_stdout_is_not_replaced_by_its_name(cli: Cli, tmp_path: Path, linked: bool) -> None:
    write_rollout(cli.home, 1, "hello")
    with (tmp_path / "out.md").open("wb") as file:
        real = Cli(cli.home, cli.base)
        target = f"/proc/self/fd/{file.fileno()}"  # a link to a file, as /dev/stdout may be
        link = tmp_path / "link.md"
        link.symlink_to(target)
        ran = real.start(
            *("export", thread_id(1), "-o", str(link) if linked else target),
            stdout=file,
            stderr=subprocess.PIPE,
            pass_fds=[file.fileno()],
        )
        assert b"a link of the system" in ran.communicate()[1]
    assert ran.returncode == 2
    assert (tmp_path / "out.md").read_bytes() == b""
    assert link.is_symlink()


def test_a_file_may_have_as_long_a_name_as_there_can_be(cli: Cli, tmp_path: Path) -> None:
    write_rollout(cli.home, 1, "hello")
    (tmp_path / "out").mkdir()
    target = f"out/{'ä' * 126}.md"
    assert cli.run("export", thread_id(1), "-o", target).lines == [target]
    assert [f"out/{name}" for name in os.listdir(tmp_path / "out")] == [target]


def test_a_line_is_stdout_and_no_file(cli: Cli, tmp_path: Path) -> None:
    write_rollout(cli.home, 1, "hello")
    before = cli.run("export", thread_id(1)).out
    assert cli.run("export", thread_id(1), "-o", "-").out == before
    assert "name a file" in cli.run("stats", "--html", "-", status=2).err
    cli.run("export", thread_id(1), "-o", "-", "--json", status=2)
    assert not (tmp_path / "-").exists()


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


@given(
    st.lists(st.sampled_from(PRIVATE[:4] + PRIVATE[5:7]), min_size=1, max_size=4),
    st.lists(
        st.sampled_from([" ", "\n", "\t", '"', "'", ", ", "; ", "<", ">", "(", ")", "|"]),
        min_size=5,
        max_size=5,
    ),
)
@settings(max_examples=300)
def test_secrets_go_wherever_they_stand(secrets: list[str], between: list[str]) -> None:
    text = between[0]
    for secret, mark in zip(secrets, between[1:], strict=False):
        text += secret + mark
    told = "result: " + json.dumps({"x": [json.dumps({"password": "hunter2hunter2"})]})
    secrets = [*secrets, SECRETS[4]]
    for value in (text, json.dumps({"x": [text]}), {"x": [text, told]}, [json.dumps([text])]):
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


def test_without_its_library_redaction_says_what_to_install(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rollout(cli.home, 1, "hello")
    monkeypatch.setitem(sys.modules, "detect_secrets.core.plugins.util", None)
    secrets.patterns.cache_clear()
    try:
        ran = cli.run("export", thread_id(1), "--redact", status=2)
    finally:
        secrets.patterns.cache_clear()
    assert ran.out == ""
    assert "pip install 'threadkeep[redact]'" in ran.err
    assert "detect-secrets" in str(RedactorMissing())


def test_a_large_image_is_in_the_page(cli: Cli) -> None:
    large = "data:image/png;base64," + "iVBOR" + "A" * 1_500_003
    save(cli.home, turn(1, event("user_message", message="look", images=[large])))
    out = cli.run("export", THREAD_ID, "--format", "html").out
    assert [len(each.get("src") or "") for each in well_formed(out).iter("img")] == [len(large)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_50_mb_are_written_in_little_memory(cli: Cli, kind: str, tmp_path: Path) -> None:
    inner: list[dict[str, Any]] = []
    for number in range(5):
        inner += call("shell_command", {"command": "make"}, "some words\n" * 10_000, number)
    path = save(cli.home, turn(1, *inner))
    chunk = path.read_bytes().partition(b"\n")[2]
    with path.open("ab") as file:
        while file.tell() < 50 * 2**20:
            file.write(chunk)
    program = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    target = str(tmp_path / f"x.{kind}")
    ran = Cli(cli.home, cli.base).run(
        "export", THREAD_ID, "-o", target, prefix=[sys.executable, "-c", program, *COMMAND]
    )
    assert int(ran.out) < 88_000  # KB
    os.unlink(target)


def test_a_closed_pipe_ends_it_quietly(cli: Cli) -> None:
    save(cli.home, turn(1, *call("shell_command", {"command": "x"}, "word\n" * 50_000)))
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Cli(cli.home, cli.base).start("export", THREAD_ID, **options) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


class _Links(HTMLParser):
    """Finds what a browser would load."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in ("src", "srcset", "data")]


def test_a_browsers_way_of_reading_finds_nothing_to_load(cli: Cli) -> None:
    hostile_thread(cli.home, HOSTILE_HTML)
    links = _Links()
    links.feed(cli.run("export", THREAD_ID, "--format", "html").out)
    assert links.loaded == [PNG]
