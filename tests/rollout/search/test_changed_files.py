"""Which rollouts have changed a file, in all eras of Codex's rollouts."""

import json
from pathlib import Path

import pytest

from rollout.search.changed_files import LastChange, last_changes
from tests.samples.rollouts import CORPUS, corpus_rollouts

TIME = "2026-11-12T15:53:14.694Z"
TIME_MS = 1794498794694
DONE = "Success. Updated the following files:\nM src/app.py\nA docs/New page.md\n"


def last(tmp_path: Path, name: str, *payloads: object) -> LastChange | None:
    lines = [
        json.dumps({"timestamp": TIME, "type": "response_item", "payload": payload})
        for payload in payloads
    ]
    (tmp_path / "rollout.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    (found,) = last_changes(str(tmp_path), ["rollout.jsonl"], name)
    return found


def test_patches_of_all_eras_are_found() -> None:
    paths = corpus_rollouts()
    found = {
        change.path: change.kind
        for change in last_changes(str(CORPUS), paths, "NOTES_")
        if change is not None
    }
    assert found == {f"notes_{number}.txt": "added" for number in (73, 122, 148, 735, 1424)}


@pytest.mark.parametrize(
    "output",
    [
        DONE,
        f"Exit code: 0\nWall time: 0 seconds\nOutput:\n{DONE}",
        json.dumps({"output": DONE, "metadata": {"exit_code": 0}}),
        {"content": DONE, "success": True},
        [{"type": "input_text", "text": DONE}],
    ],
)
def test_what_the_tool_printed_names_the_files(tmp_path: Path, output: object) -> None:
    payload = {"type": "custom_tool_call_output", "call_id": "c", "output": output}
    assert last(tmp_path, "App.py", payload) == LastChange("src/app.py", "changed", TIME_MS)
    assert last(tmp_path, "new page", payload) == LastChange("docs/New page.md", "added", TIME_MS)
    assert last(tmp_path, "readme", payload) is None


def test_the_event_of_a_patch_names_them_too(tmp_path: Path) -> None:
    changes = {"/home/dev/src/app.py": {"type": "delete", "content": ""}}
    item = {"type": "FileChange", "changes": changes, "status": "completed", "stdout": DONE}
    found = last(tmp_path, "app", {"type": "item_completed", "item": item})
    assert found == LastChange("/home/dev/src/app.py", "deleted", TIME_MS)


def test_the_last_change_counts(tmp_path: Path) -> None:
    def printed(kind: str) -> dict[str, str]:
        done = f"Success. Updated the following files:\n{kind} app.py"
        return {"type": "function_call_output", "output": done}

    found = last(tmp_path, "app.py", printed("A"), printed("M"), printed("D"))
    assert found == LastChange("app.py", "deleted", TIME_MS)


def test_what_only_mentions_a_file_has_not_changed_it(tmp_path: Path) -> None:
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": DONE}]}
    failed = {"type": "function_call_output", "output": "Failed to find context in src/app.py"}
    called = {"type": "custom_tool_call", "name": "apply_patch", "input": "*** Update File: app.py"}
    assert last(tmp_path, "app.py", said, failed, called) is None


def test_a_file_that_is_gone_or_no_rollout_has_no_changes(tmp_path: Path) -> None:
    (tmp_path / "noise.jsonl").write_bytes(b"\0\n" + DONE.encode() + b"{" * 1000)
    assert last_changes(str(tmp_path), ["noise.jsonl", "gone.jsonl"], "app") == [None, None]
