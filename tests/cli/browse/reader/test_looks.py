"""What the reader looks like: pictures of its screen.

A picture that has changed is written beside the one it is compared with; look at both, and rename
it if it is right.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.browse.reader.reading import Reader, put, read
from tests.cli.browse.support import picture
from tests.support.reading import call, event, item

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
PATCH = """*** Begin Patch
*** Update File: src/parser/tokens.py
@@ def tokens(text):
-    for word in text.split():
-        yield Token(word)
+    for number, word in enumerate(text.split(), 1):
+        yield Token(word, number)
     return
*** Add File: tests/test_tokens.py
+from parser.tokens import tokens
*** End Patch"""
OUTPUT = "\n".join(
    [
        "=== test session starts ===",
        *(f"tests/test_{number}.py ....." for number in range(30)),
        "E   assert 1 == 2",
        "=== 1 failed, 211 passed in 3.21s ===",
    ]
)
ANSWER = """The class `Token` has no **number** at all:

1. `tokens()` yields words only, so a caller that wants to say where a word is has to count them
2. the parser counts lines

```python
class Token:
    word: str
```

Shall I add it?"""


def thread() -> Iterator[dict[str, Any]]:
    """A thread with all that has a look of its own."""
    yield from _turn(
        1,
        "Why are numbers missing in the tokenizer?",
        event("agent_reasoning", text="**Reading the tokenizer**\n\nFirst tokens.py.\n\nThen."),
        *_command("rg -n 'class Token' src", "src/parser/tokens.py:12:class Token:\n", 0),
        event("agent_message", message=ANSWER),
    )
    yield from _turn(
        2,
        "Yes, add it, with a test",
        item("custom_tool_call", name="apply_patch", input=PATCH, call_id="c9"),
        item("custom_tool_call_output", call_id="c9", output="Success. Updated the files"),
        *_command("pytest -q", OUTPUT, 1, 2),
        event("agent_message", message="One test fails.", phase="commentary"),
        event("agent_message", message="## Done\n\n`tokens()` now numbers words from 1."),
    )
    yield from _turn(3, "Now the lexer — 字句解析器も", *_command("cargo build", "no\n", 101, 3))
    for number in range(4, 9):
        said = event("agent_message", message=f"Step {number} is done.")
        yield from _turn(number, f"Step {number}: go on with the next file of the parser", said)


def _command(line: str, output: str, code: int, number: int = 1) -> list[dict[str, Any]]:
    facts = {"exit_code": code, "duration_seconds": 3.4}
    text = json.dumps({"output": output, "metadata": facts})
    return call("shell", {"command": ["bash", "-lc", line]}, text, number)


def _turn(number: int, prompt: str, *inner: dict[str, Any]) -> list[dict[str, Any]]:
    id_ = f"019a0000-0000-7000-9000-{number:012}"
    began, used = 1_760_000_000 + number * 900, {"input_tokens": 11_000, "output_tokens": 900}
    last = used | {"total_tokens": 11_900}
    total = {name: value * number for name, value in last.items()}
    info = {"total_token_usage": total, "last_token_usage": last, "model_context_window": 200_000}
    end = {"completed_at": began + 65, "duration_ms": 65_300}
    return [
        event("task_started", turn_id=id_, started_at=began, model_context_window=1),
        event("user_message", message=prompt, images=[]),
        *inner,
        event("token_count", info=info, rate_limits=None),
        event("turn_aborted", turn_id=id_, reason="interrupted", **end)
        if number == 3
        else event("task_complete", turn_id=id_, **end),
    ]


CASES = {
    "reader-120x40-dark": ((120, 40), ("g", "J"), "", False),
    "reader-80x24-light": ((80, 24), ("g", "O"), "", True),
    "reader-found-120x40-light": ((120, 40), ("g",), "token", True),
    "reader-no-color-80x24": ((80, 24), ("g", "J"), "tests", False),
}


@pytest.mark.parametrize("name", CASES)
def test_the_reader_looks_as_it_did(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, keys, sought, light = CASES[name]
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if "no-color" in name:
        monkeypatch.setenv("NO_COLOR", "1")
    time.tzset()
    put(tmp_path / "home", [*thread()])
    made = ""

    async def work(reader: Reader) -> None:
        nonlocal made
        await reader.press(*keys)
        if sought:
            await reader.find(sought)
        if reader.screen.outline.display:
            await reader.until(lambda: "✗1" in reader.outline[1])
        made = picture(reader.app, light=light)

    try:
        read(tmp_path / "home", work, size=size)
    finally:
        monkeypatch.undo()
        time.tzset()
    path = SNAPSHOTS / f"{name}.svg"
    if not path.exists() or path.read_text("utf-8") != made:
        path.with_suffix(".new.svg").write_text(made, "utf-8")
        pytest.fail(f"{path} is not what the screen looks like: see {path.stem}.new.svg")
