"""Which turns are meant by what is typed."""

import pytest

from cli.render.turn_selection import TurnSelection, ranges
from rollout.errors import AmbiguousTurn, TurnNotFound


def test_turns_are_chosen_by_ranges() -> None:
    ids = [f"{number:08x}-0000-1" for number in range(300)]
    for text, places in {
        "290-295": range(289, 295),
        "290-": range(289, 300),
        "290-999": range(289, 300),
        "-3-": range(297, 300),
        "-3--2": [297, 298],
        "3, 7,298-,2-3,": [1, 2, 6, 297, 298, 299],
        "00000005-0": [5],  # an id, as there is no range like it
        "5,0000000a": [4, 10],
    }.items():
        assert list(TurnSelection(text).among(ids)) == [*places]
    assert ranges([1, 2, 6, 297, 298, 299]) == "2-3,7,298-300"
    assert list(TurnSelection("a,b").among(["a,b", "a"])) == [0]


def test_numbers_of_turns_have_as_many_digits_as_it_takes() -> None:
    ids = [f"{number:08x}-1" for number in range(1500)]
    for number in (1, 99, 100, 999, 1000, 1001, 1500):
        assert list(TurnSelection(str(number)).among(ids)) == [number - 1]
        assert list(TurnSelection(str(-number)).among(ids)) == [1500 - number]
    assert list(TurnSelection("1234").among(["12340000-1", "0"])) == [0]  # there is no such number
    assert list(TurnSelection("00000002").among(ids)) == [1]
    assert list(TurnSelection("000005db").among(ids)) == [1499]
    with pytest.raises(TurnNotFound):
        TurnSelection("0").among(["00000000-1"])
    with pytest.raises(AmbiguousTurn):
        TurnSelection("").among(ids)
