"""``session_index.jsonl``: the names that users gave."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.metadata.session_index import NAMES_FILE, read_names
from tests.samples.rollouts import (
    CORPUS,
    FOREIGN_ID,
    THREAD_ID,
    RolloutLine,
    content,
    run_unprivileged,
)
from tests.support.effort import examples


def names_of(home: Path, *lines: RolloutLine, tail: bytes = b"") -> dict[str, str]:
    (home / NAMES_FILE).write_bytes(content(*lines) + tail)
    return {thread_id: named.name for thread_id, named in read_names(home).items()}


def named(name: object, thread_id: object = THREAD_ID, updated: str = "") -> dict[str, object]:
    return {"id": thread_id, "thread_name": name, "updated_at": updated}


def test_a_home_without_the_file_has_no_names(tmp_path: Path) -> None:
    assert read_names(tmp_path) == {}
    assert names_of(tmp_path) == {}


def test_the_last_line_wins_whatever_its_time(tmp_path: Path) -> None:
    found = names_of(tmp_path, named("a", updated="2030"), named("b", updated="2020"))
    assert found == {THREAD_ID: "b"}


def test_each_thread_has_its_own_name(tmp_path: Path) -> None:
    found = names_of(tmp_path, named("a"), named("b", FOREIGN_ID), named("c"))
    assert found == {THREAD_ID: "c", FOREIGN_ID: "b"}


@pytest.mark.parametrize("blank", ["", "  ", "\n\t", None, 5, ["x"]])
def test_a_blank_name_or_none_leaves_the_earlier_one(tmp_path: Path, blank: object) -> None:
    assert names_of(tmp_path, named("a"), named(blank)) == {THREAD_ID: "a"}
    assert names_of(tmp_path, named(blank)) == {}


def test_a_name_is_trimmed(tmp_path: Path) -> None:
    assert names_of(tmp_path, named("  a b\n")) == {THREAD_ID: "a b"}


def test_any_spelling_of_an_id_names_the_same_thread(tmp_path: Path) -> None:
    found = names_of(tmp_path, named("a"), named("b", THREAD_ID.upper().replace("-", "")))
    assert found == {THREAD_ID: "b"}


def test_unreadable_lines_are_passed_over(tmp_path: Path) -> None:
    bad: list[RolloutLine] = [b"", b"{", b"[]", b"\0\0", b"5", named("x", "no id"), b'{"id":1}']
    assert names_of(tmp_path, *bad, named("a"), *bad) == {THREAD_ID: "a"}


def test_a_torn_last_line_costs_only_itself(tmp_path: Path) -> None:
    torn = content(named("b"))[:-10]
    assert names_of(tmp_path, named("a"), tail=torn) == {THREAD_ID: "a"}
    assert names_of(tmp_path, named("a"), tail=content(named("b"))[:-1]) == {THREAD_ID: "b"}


def test_a_lone_surrogate_does_not_reach_the_database(tmp_path: Path) -> None:
    line = b'{"id":"%s","thread_name":"a\\ud800b"}' % THREAD_ID.encode()
    names_of(tmp_path, line)[THREAD_ID].encode()


def test_a_name_of_any_length_is_read(tmp_path: Path) -> None:
    assert names_of(tmp_path, named("n" * 400_000), named("b", FOREIGN_ID)) == {
        THREAD_ID: "n" * 400_000,
        FOREIGN_ID: "b",
    }


@examples(80)
@given(data=st.binary())
def test_no_content_makes_it_fail(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    home = tmp_path_factory.getbasetemp()
    (home / NAMES_FILE).write_bytes(data)
    assert isinstance(read_names(home), dict)


def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    """To take it for an empty one would take the names away."""
    (tmp_path / NAMES_FILE).mkdir()
    with pytest.raises(OSError, match="directory"):
        read_names(tmp_path)
    (tmp_path / NAMES_FILE).rmdir()
    names_of(tmp_path, named("a"))
    (tmp_path / NAMES_FILE).chmod(0)
    with pytest.raises(AssertionError, match="PermissionError"):
        run_unprivileged(tmp_path, "read_names(Path('.'))")


def test_the_names_of_the_corpus_are_read() -> None:
    names = read_names(CORPUS)
    assert names
    assert all(name.strip() == name and set_at for name, set_at in names.values())
