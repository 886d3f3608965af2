"""Walking the folders of a home, whatever somebody has put into them."""

import os
import socket
from pathlib import Path

import pytest

from rollout.errors import HomeNotFound
from rollout.files.layout import parse_name
from rollout.files.scan import FoundFile, check_home, scan_home, stat_file
from rollout.files.stamp import FileStamp
from tests.samples.rollouts import (
    CORPUS,
    FOREIGN_ID,
    meta,
    rollout_name,
    rollout_path,
    run_unprivileged,
    write_rollout,
)


def scanned(home: Path) -> dict[str, str | None]:
    """Path to reason, of everything that the scan gives; it gives nothing twice."""
    found = list(scan_home(home))
    reasons = {file.path: file.ignored for file in found}
    assert len(reasons) == len(found)
    return reasons


def test_the_newest_name_comes_first(tmp_path: Path) -> None:
    times = [
        "2025-12-31T23-59-59",
        "2026-01-01T00-00-00",
        "2026-10-02T00-00-00",
        "2026-10-15T07-00-00",
        "2026-10-15T07-00-01",
    ]
    paths = [write_rollout(tmp_path, b"", rollout_path(started=started)) for started in times]
    assert [file.path for file in scan_home(tmp_path)] == paths[::-1]


def test_active_files_come_before_archived_ones(tmp_path: Path) -> None:
    archived = write_rollout(
        tmp_path, b"", rollout_path(started="2027-01-01T00-00-00", archived=True)
    )
    active = write_rollout(tmp_path, b"")
    assert [file.path for file in scan_home(tmp_path)] == [active, archived]


def test_an_entry_tells_what_stat_tells(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, [meta()])
    info = (tmp_path / path).stat()
    expected = FoundFile(path, FileStamp(info.st_size, info.st_mtime_ns, info.st_ino), None)
    assert list(scan_home(tmp_path)) == [expected]
    assert stat_file(tmp_path, path) == expected


def test_what_is_known_is_taken_out_instead(tmp_path: Path) -> None:
    paths = [
        write_rollout(tmp_path, b"", rollout_path(started=f"2026-10-{day}T07-00-00"))
        for day in range(10, 15)
    ]
    found = {file.path: file for file in scan_home(tmp_path)}
    known = {path: (path, *file.stamp, 0) for path, file in found.items()}
    same, touched, again, gone, replaced = paths
    known[again] = (*known[again][:4], 1)
    os.utime(tmp_path / touched, (1, 1))
    (tmp_path / gone).unlink()
    (tmp_path / replaced).unlink()
    (tmp_path / replaced).symlink_to(tmp_path / same)
    rest = [file.path for file in scan_home(tmp_path, known)]
    assert rest == [replaced, again, touched]
    assert sorted(known) == sorted([touched, again, gone, replaced])
    assert rest == [path for path in scanned(tmp_path) if path != same]


def test_files_are_found_at_any_depth(tmp_path: Path) -> None:
    folders = ["", "2026/", "2026/1/2/", "a/b/c/d/e/f/"]
    paths = {
        write_rollout(tmp_path, b"", f"{root}/{folder}{rollout_name()}")
        for root in ("sessions", "archived_sessions")
        for folder in folders
    }
    assert scanned(tmp_path) == dict.fromkeys(paths)


def test_folders_nested_as_deep_as_the_system_allows_do_not_end_the_scan(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, b"")
    deep = tmp_path / "sessions"
    made = []
    for _ in range(1500):
        deep = Path(f"{deep}/0")
        deep.mkdir()
        made.append(deep)
    try:
        assert path in scanned(tmp_path)
    finally:
        for folder in reversed(made):
            folder.rmdir()


def test_what_is_not_named_as_a_rollout_is_given_with_that_reason(tmp_path: Path) -> None:
    for name in ("notes.txt", rollout_name() + ".bak", "rollout-compress-1.tmp"):
        write_rollout(tmp_path, b"", f"sessions/{name}")
    assert set(scanned(tmp_path).values()) == {"not named rollout-*.jsonl"}
    assert len(scanned(tmp_path)) == 3


def test_the_scan_and_the_parser_agree_about_names(tmp_path: Path) -> None:
    names = ["rollout-.jsonl", "rollout-x.jsonl.zst", "rollout-jsonl", "rollout.jsonl", "rollout-"]
    for name in [*names, rollout_name(), rollout_name() + ".zst"]:
        write_rollout(tmp_path, b"", f"archived_sessions/{name}")
    for path, ignored in scanned(tmp_path).items():
        assert (ignored is None) == (parse_name(path) is not None)


def test_no_symbolic_link_is_followed(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    path = write_rollout(home, b"")
    write_rollout(elsewhere, b"")
    links = home / "sessions"
    (links / "file.jsonl").symlink_to(home / path)
    (links / rollout_name(FOREIGN_ID)).symlink_to(home / path)
    (links / "folder").symlink_to(elsewhere)
    (links / "up").symlink_to("..")
    (links / "itself").symlink_to("itself")
    (links / "gone").symlink_to("nowhere")
    reasons = scanned(home)
    assert reasons.pop(path) is None
    followed = "a symbolic link, which is not followed"
    assert reasons.pop("sessions/gone") == (
        "a symbolic link that leads nowhere: No such file or directory"
    )
    assert (reasons.pop("sessions/itself") or "").startswith("a symbolic link that leads nowhere: ")
    assert reasons == {
        "sessions/file.jsonl": followed,
        f"sessions/{rollout_name(FOREIGN_ID)}": followed,
        "sessions/folder": followed,
        "sessions/up": followed,
    }


def test_the_two_roots_themselves_may_be_links(tmp_path: Path) -> None:
    """Many keep their sessions on another drive."""
    path = write_rollout(tmp_path / "drive", b"")
    home = tmp_path / "home"
    home.mkdir()
    (home / "sessions").symlink_to(tmp_path / "drive" / "sessions")
    assert scanned(home) == {path: None}


def test_a_root_that_links_to_itself_is_accounted_for(tmp_path: Path) -> None:
    (tmp_path / "sessions").symlink_to("sessions")
    path = write_rollout(tmp_path, b"", rollout_path(archived=True))
    reasons = scanned(tmp_path)
    assert (reasons.pop("sessions") or "").startswith("cannot be accessed: ")
    assert reasons == {path: None}


def test_a_folder_named_as_a_rollout_is_named_and_looked_into(tmp_path: Path) -> None:
    inner = write_rollout(tmp_path, b"", f"sessions/{rollout_name()}/{rollout_name(FOREIGN_ID)}")
    assert scanned(tmp_path) == {
        f"sessions/{rollout_name()}": "a folder with a rollout's name",
        inner: None,
    }


def test_a_file_where_a_root_should_be_is_accounted_for(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("no folder")
    assert scanned(tmp_path) == {"sessions": "a file where a folder should be"}


def test_a_name_that_is_not_utf8_is_shown_readably(tmp_path: Path) -> None:
    sessions = os.fsencode(tmp_path / "sessions")
    os.makedirs(sessions + b"/fol\xffder")
    Path(os.fsdecode(sessions + b"/fol\xffder/rollout-1.jsonl")).touch()
    Path(os.fsdecode(sessions + b"/rollout-\xff.jsonl")).touch()
    os.symlink("nowhere", sessions + b"/li\xffnk")
    reasons = scanned(tmp_path)
    assert reasons["sessions/rollout-\ufffd.jsonl"] == "name is not valid UTF-8"
    assert reasons["sessions/fol\ufffdder"] == "name is not valid UTF-8"
    assert "sessions/li\ufffdnk" in reasons
    assert len(reasons) == 3


def test_a_valid_name_need_not_be_ascii(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, b"", "sessions/ä/rollout-ö.jsonl")
    assert scanned(tmp_path) == {path: None}


def test_pipes_and_sockets_are_no_regular_files(tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    folder.mkdir()
    os.mkfifo(folder / rollout_name())
    here = os.getcwd()
    os.chdir(folder)  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("rollout-s.jsonl")
    finally:
        os.chdir(here)
    assert set(scanned(tmp_path).values()) == {"not a regular file"}
    assert len(scanned(tmp_path)) == 2


def test_a_folder_that_cannot_be_listed_does_not_hide_the_others(tmp_path: Path) -> None:
    hidden = tmp_path / write_rollout(tmp_path, b"", "sessions/2026/10/16/rollout-x.jsonl")
    path = write_rollout(tmp_path, b"")
    hidden.parent.chmod(0)
    found = run_unprivileged(tmp_path, "[(f.path, f.ignored) for f in scan_home(Path('.'))]")
    assert found == [
        ["sessions/2026/10/16", "cannot be accessed: Permission denied"],
        [path, None],
    ]


def test_the_files_of_a_folder_that_may_be_listed_but_not_entered_are_accounted_for(
    tmp_path: Path,
) -> None:
    """Their names are known, so they may not simply be missing."""
    path = write_rollout(tmp_path, b"")
    (tmp_path / path).parent.chmod(0o444)
    found = run_unprivileged(tmp_path, "[(f.path, f.ignored) for f in scan_home(Path('.'))]")
    assert len(found) == 1
    assert found[0][1] is not None


def test_the_first_files_are_there_before_the_rest_is_looked_at(tmp_path: Path) -> None:
    newest = write_rollout(tmp_path, b"", rollout_path(started="2026-10-15T07-00-00"))
    older = write_rollout(tmp_path, b"", rollout_path(started="2026-10-14T07-00-00"))
    files = scan_home(tmp_path)
    assert next(files).path == newest
    late = write_rollout(tmp_path, b"", rollout_path(FOREIGN_ID, "2026-10-14T07-00-00"))
    assert {file.path for file in files} == {older, late}


def test_a_home_without_folders_is_empty_and_not_wrong(tmp_path: Path) -> None:
    check_home(tmp_path)
    assert list(scan_home(tmp_path)) == []


def test_a_home_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HomeNotFound, match="there is no such folder") as caught:
        check_home(tmp_path / "none")
    assert caught.value.path == tmp_path / "none"
    (tmp_path / "file").touch()
    with pytest.raises(HomeNotFound, match="it is a file"):
        check_home(tmp_path / "file")


def test_the_entry_of_one_path_is_none_when_it_has_gone(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, b"")
    assert stat_file(tmp_path, "sessions/none.jsonl") is None
    assert stat_file(tmp_path, f"{path}/below-a-file") is None


def test_the_entry_of_one_path_says_when_it_is_no_regular_file(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, b"")
    (tmp_path / "sessions" / "link.jsonl").symlink_to(tmp_path / path)
    for other in ("sessions", "sessions/link.jsonl"):
        found = stat_file(tmp_path, other)
        assert found is not None
        assert found.ignored == "not a regular file"


def test_the_corpus_is_found_whole() -> None:
    """As many as a plain walk finds, each as it is on disk."""
    found = list(scan_home(CORPUS))
    walked = [
        Path(folder, name)
        for root in ("sessions", "archived_sessions")
        for folder, _, names in os.walk(CORPUS / root)
        for name in names
    ]
    assert {CORPUS / file.path for file in found} == set(walked)
    assert len(found) == len(walked)
    for file in found:
        if file.ignored is None:
            assert file == stat_file(CORPUS, file.path)
