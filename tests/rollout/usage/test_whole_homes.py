"""The sum over all threads of a home is the sum of all responses, each once."""

from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.jsonl.parse import Line, parse_line
from rollout.jsonl.reader import LineReader, open_rollout
from rollout.usage.copies import usage_of_copies
from rollout.usage.model import UsageSums, add_rows, decode_rows, encode_rows
from rollout.usage.reducer import UsageReducer
from tests.samples.rollouts import CORPUS, corpus_rollouts
from tests.support.each import each
from tests.support.effort import examples
from tests.usage.plain import lines_of, used
from tests.usage.spending import STEPS, spending

steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9)), max_size=12)


def sums_of(home: Path) -> UsageSums:
    """All that was used in a home: file by file, but copies of one rollout together."""
    rollouts = defaultdict(list)
    for path in sorted(home.rglob("rollout-*")):
        rollouts[path.name.removesuffix(".zst")].append(path.relative_to(home).as_posix())
    rows = add_rows(usage_of_copies(home, paths).rows for paths in rollouts.values())
    return UsageSums(*map(sum, zip(*rows.values(), strict=True)))


@examples(200)
@given(steps)
def test_each_response_counts_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    home = tmp_path_factory.mktemp("home")
    made = spending(steps)
    made.write(home)
    expected = map(sum, zip(*made.spent, strict=True))
    assert sums_of(home) == (*expected, len(made.spent))


@examples(100)
@given(steps, st.data())
def test_a_pass_goes_on_from_anywhere(steps: list[tuple[str, int]], data: st.DataObject) -> None:
    for session in spending(steps).sessions:
        at_once = UsageReducer()
        for line in session.lines:
            at_once.apply(line, 0)
        in_parts = UsageReducer()
        for line in session.lines:
            if data.draw(st.booleans()):
                told = in_parts.usage()
                stored = decode_rows(encode_rows(told.rows))
                in_parts = UsageReducer(told._replace(rows=stored))
            in_parts.apply(line, 0)
        assert in_parts.usage() == at_once.usage()


def test_a_plain_count_of_real_files_comes_to_the_same() -> None:
    def comes_to_the_same(path: str) -> None:
        rows = usage_of_copies(CORPUS, [path]).rows
        assert sum(sums.total for sums in rows.values()) == used(lines_of(CORPUS / path))

    each(corpus_rollouts(), comes_to_the_same)


def test_real_files_tell_the_same_when_every_line_begins_a_pass() -> None:
    def tells_the_same(path: str) -> None:
        reducer = UsageReducer()
        with open_rollout(CORPUS / path, []) as stream:
            for line in LineReader().lines(stream):
                value = parse_line(line) if isinstance(line, Line) else None
                if isinstance(value, dict):
                    reducer = UsageReducer(reducer.usage())
                    reducer.apply(value, line.offset)
        assert reducer.usage().rows == usage_of_copies(CORPUS, [path]).rows

    each(corpus_rollouts(), tells_the_same)
