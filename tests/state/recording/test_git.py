"""Git facts of a folder, without credentials."""

import subprocess
from pathlib import Path

import pytest

from state.edit.git import without_credentials
from state.thread_store import ThreadStore
from tests.samples.talk import new_thread
from tests.state.recording.recorded import Use, recorded_lines


def test_git_facts_come_without_credentials(tmp_path: Path, home: Path, use: Use) -> None:
    place = tmp_path / "project"
    place.mkdir()
    git = ["git", "-C", str(place), "-c", "user.name=a", "-c", "user.email=a@example.invalid"]
    subprocess.run([*git, "init", "-q", "-b", "work"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    url = "https://me:secret@example.invalid/demo.git"
    subprocess.run([*git, "remote", "add", "origin", url], check=True)
    below = place / "deep" / "down"
    below.mkdir(parents=True)

    async def work(store: ThreadStore) -> None:
        id_ = await store.create_thread(new_thread(cwd=str(below)))
        await store.persist_thread(id_)

    use(work)
    facts = recorded_lines(home)[0]["payload"]["git"]
    assert facts.pop("commit_hash").isalnum()
    assert facts == {"branch": "work", "repository_url": "https://example.invalid/demo.git"}


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://token@github.com/a/b", "https://github.com/a/b"),
        ("https://u:p@[::1]:8443/a?b", "https://[::1]:8443/a?b"),
        ("http://u:p%40q@host/a", "http://host/a"),
        ("ssh://git@host:22/a", "ssh://git@host:22/a"),
        ("ssh://git:secret@host/a", "ssh://host/a"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("https://u:secret@host:port/a", "host:port/a"),
        ("/srv/a@b.git", "/srv/a@b.git"),
        ("https://host/a@b", "https://host/a@b"),
    ],
)
def test_urls_without_credentials(url: str, kept: str) -> None:
    assert without_credentials(url) == kept
