"""Markdown and HTML of ``export``, whatever the texts of a thread hold."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cli.render.html.markdown import rendered
from cli.render.markdown import fenced, inline
from cli.render.markdown_quote import quoted
from cli.terminal.text import one_line, shortened
from tests.cli.export.test_export import PIECES, well_formed
from tests.samples.hostile import HOSTILE
from tests.samples.rollouts import THREAD_ID
from tests.support.command import Cli
from tests.support.effort import examples
from tests.support.reading import NEVER, call, cli, event, save, turn

__all__ = ["cli"]


PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAC"
    "hwGA60e6kgAAAABJRU5ErkJggg=="
)


HOSTILE_HTML = (
    "</pre></details></main><script>alert(1)</script><img src=http://x/y.png onerror=alert(1)>"
    "![x](http://x/y.png) ![y](data:image/svg+xml;base64,AAAA) [z](javascript:alert(1))"
    " <!-- & ]]> &lt; \" ' &#8238; &#x1b;[31m " + HOSTILE
)


def hostile_thread(home: Path, text: str) -> Path:
    items = [
        event("agent_message", message=text),
        event("agent_reasoning", text=text),
        *call("shell_command", {"command": text}, text),
        *call(text or "x", {text: text}, text, 2),
        *call("apply_patch", {"x": text}, text, 3),
    ]
    return save(home, turn(1, event("user_message", message=text, images=[PNG]), *items))


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
        ("# big\n\n**user**", "> ### big\n>\n> **user**\n"),
        (
            "##### small\nText\n---\n- # in a list",
            "> ###### small\n> #### Text\n>\n> - ### in a list\n",
        ),
        ("two\nlines\n===", None),
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


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=40))
@examples(400)
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
    items = [
        event(f"agent_{kind}", message=forged, text=forged) for kind in ("message", "reasoning")
    ]
    save(
        cli.home,
        [
            *turn(1, event("user_message", message=forged, images=[]), *items),
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


def test_a_page_lists_its_turns_and_has_no_other_headings_like_theirs(cli: Cli) -> None:
    said = "# Big\n\n## Smaller\n\nText\n====\n\n###### Least"
    editor = "# Context from my IDE setup:\n\n## My request for Codex:\nRead <this>\nand that"
    patch = event("user_message", message=editor, images=[])
    lines = [*turn(1, event("agent_message", message=said)), turn(2)[0], patch, *turn(2)[2:]]
    save(cli.home, [*lines, *turn(3)[:1]])
    root = well_formed(cli.run("export", THREAD_ID, "--format", "html").out)
    headings = ["".join(each.itertext()) for each in root.iter("h2")]
    assert [each[:6] for each in headings] == ["Turn 1", "Turn 2", "Turn 3"]
    assert [each.tag for each in root.iter() if re.fullmatch("h[13456]", each.tag)] == [
        *("h1", "h3", "h4", "h3", "h6")
    ]
    (listed,) = root.iter("nav")
    prompts = ["".join(each.itertext()) for each in listed.iter("a")]
    assert prompts == ["108:53question 1", "208:53Read <this>", "308:53(no prompt)"]
    anchors = {each.get("id") for each in root.iter("article")}
    links = {each.get("href") or "" for each in root.iter("a")}
    assert {f"#{each}" for each in anchors} | {"#turns"} == links
    assert not [*well_formed(_alone(cli)).iter("nav")]


def _alone(cli: Cli) -> str:
    save(cli.home, turn(1))
    return cli.run("export", THREAD_ID, "--format", "html").out


def test_hostile_texts_give_a_harmless_page(cli: Cli) -> None:
    hostile_thread(cli.home, HOSTILE_HTML)
    ran = cli.run("export", THREAD_ID, "--format", "html")
    root = well_formed(ran.out)
    assert not NEVER.search(ran.out)
    assert [each.get("src") for each in root.iter("img")] == [PNG]
    assert "<script>alert(1)" in "".join(root.itertext())


@given(st.text(max_size=60) | st.text("<>&\"'`*_[]()!#-=\n |\\:;&#x1b", max_size=60))
@examples(300)
def test_markdown_of_any_text_is_well_formed_in_a_page(text: str) -> None:
    made = rendered(text.encode("utf-8", "replace").decode())
    clean = re.sub("[\ufffe\uffff]", "", made)
    ElementTree.fromstring(f"<div>{clean}</div>")
    assert "<script" not in made.lower()
    assert not NEVER.search(made)


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


def test_a_large_image_is_in_the_page(cli: Cli) -> None:
    large = "data:image/png;base64," + "iVBOR" + "A" * 1_500_003
    save(cli.home, turn(1, event("user_message", message="look", images=[large])))
    out = cli.run("export", THREAD_ID, "--format", "html").out
    assert [len(each.get("src") or "") for each in well_formed(out).iter("img")] == [len(large)]


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
