"""The repository of a folder: by its origin, and on disk."""

import os
import subprocess
from pathlib import Path

import pytest

from state.userdata.repositories import Disk, origin_place


def git(folder: Path, *words: str) -> None:
    """Run git as it is, with nothing of the person who runs the tests."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
    allowed = ("-c", "protocol.file.allow=always")
    folder.mkdir(parents=True, exist_ok=True)
    nothing = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(
        ["git", "-C", str(folder), *who, *allowed, *words],
        check=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **nothing},
    )


def repository(folder: Path, origin: str = "") -> Path:
    """A repository with one commit."""
    git(folder, "init")
    git(folder, "commit", "--allow-empty", "-m", "first")
    if origin:
        git(folder, "remote", "add", "origin", origin)
    return folder


def main_of(folder: Path) -> str | None:
    found = Disk().repository(str(folder))
    return found.folder if found else None


@pytest.mark.parametrize(
    "url",
    [
        *("https://github.com/acme/api.git", "https://github.com/acme/api"),
        *("https://me:token@github.com/acme/api/", "https://token@GitHub.com/acme/api.git/"),
        *("git@github.com:acme/api.git", "github.com:acme/api", "git@github.com:/acme/api"),
        *("ssh://git@github.com/acme/api.git", "ssh://git@github.com:22//acme/api"),
        *("git://github.com/acme/api", "HTTP://github.com:80/acme/api", " git@GITHUB.com:acme/api"),
    ],
)
def test_all_spellings_of_an_origin_are_one_place(url: str) -> None:
    assert origin_place(url) == "github.com/acme/api"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("git@[::1]:acme/api.git", "[::1]/acme/api"),
        ("ssh://git@[::1]:22/acme/api.git", "[::1]/acme/api"),
        ("https://git.example.com/group/sub/api.git", "git.example.com/group/sub/api"),
        ("git@host:api.git", "host/api"),
        ("git@github.com:Acme/Api.git", "github.com/Acme/Api"),
        ("/srv/git/api.git", "/srv/git/api"),
        ("/home/dev/api/.git", "/home/dev/api"),
        ("/home/dev/api/", "/home/dev/api"),
        ("file:///srv/git/api.git", "/srv/git/api"),
        ("file://server/srv/api.git", "/srv/api"),
        ("C:\\git\\api.git", "C:/git/api"),
        *(("", ""), (".", ""), ("../api.git", ""), ("https://", ""), ("https://host/", "")),
        *(("host:", ""), ("host:.git", ""), (":api", ""), ("\0", "")),
    ],
)
def test_the_place_of_an_origin(url: str, place: str) -> None:
    assert origin_place(url) == place


def test_a_folder_below_and_a_worktree_lead_to_the_main_folder(tmp_path: Path) -> None:
    main = repository(tmp_path / "api")
    git(main, "worktree", "add", str(tmp_path / "elsewhere" / "wt"))
    below = main / "src" / "deep"
    below.mkdir(parents=True)
    gone = main / "was" / "here"
    worktree = tmp_path / "elsewhere" / "wt"
    for folder in (main, below, gone, worktree, worktree / "src"):
        assert main_of(folder) == str(main)
    assert main_of(tmp_path) is None
    (tmp_path / "link").symlink_to(main)
    assert main_of(tmp_path / "link") == str(main)


def test_a_worktree_of_a_repository_that_is_gone_still_says_where_it_was(tmp_path: Path) -> None:
    main = repository(tmp_path / "api")
    git(main, "worktree", "add", str(tmp_path / "wt"))
    main.rename(tmp_path / "moved")
    assert main_of(tmp_path / "wt") == str(main)


def test_worktrees_of_a_bare_repository(tmp_path: Path) -> None:
    source = repository(tmp_path / "source")
    git(tmp_path, "clone", "--bare", str(source), "api.git")
    git(tmp_path / "api.git", "worktree", "add", str(tmp_path / "wt"))
    assert main_of(tmp_path / "wt") == str(tmp_path / "api")
    hidden = tmp_path / "shop"
    git(tmp_path, "clone", "--bare", str(source), "shop/.bare")
    (hidden / ".git").write_text("gitdir: ./.bare\n")
    git(hidden, "worktree", "add", "main")
    assert main_of(hidden) == main_of(hidden / "main") == str(hidden)


def test_a_submodule_is_a_repository_of_its_own(tmp_path: Path) -> None:
    part = repository(tmp_path / "part")
    whole = repository(tmp_path / "whole")
    git(whole, "submodule", "add", str(part), "lib/part")
    assert main_of(whole / "lib") == str(whole)
    assert main_of(whole / "lib" / "part") == str(whole / "lib" / "part")
    disk = Disk()
    found = disk.repository(str(whole / "lib" / "part"))
    assert found is not None
    assert disk.origin(found) == str(part)


def test_the_configured_origin(tmp_path: Path) -> None:
    main = repository(tmp_path / "api", "git@github.com:acme/api.git")
    git(main, "remote", "add", "other", "git@github.com:me/api.git")
    git(main, "worktree", "add", str(tmp_path / "wt"))
    disk = Disk()
    for folder in (main, tmp_path / "wt"):
        found = disk.repository(str(folder))
        assert found is not None
        assert disk.origin(found) == "git@github.com:acme/api.git"


@pytest.mark.parametrize("content", [b"", b"gitdir:", b"\xff\xfe\0", b"gitdir: \0", b"x" * 99999])
def test_what_is_no_repository(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".git").write_bytes(content)
    (tmp_path / "b" / ".git").mkdir(parents=True)
    os.mkfifo(tmp_path / "b" / ".git" / "HEAD")
    assert main_of(tmp_path / "b" / "sub") is None
    Disk().repository(str(tmp_path / "a"))
    for folder in ("", "relative", "C:/work", "/\0", "/" + "x/" * 3000):
        assert Disk().repository(folder) is None
