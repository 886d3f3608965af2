"""Marks: the tags, the pin, the note and the status that users give a thread. What they are among
the user data, and which there can be."""

from collections.abc import Mapping
from typing import Final

from rollout.files.text import is_storable
from state.errors import InvalidMark

TAG: Final = "tag:"
"""Begins the key of each tag."""
PINNED: Final = "pinned"
NOTE: Final = "note"
STATUS: Final = "status"
ON: Final = "1"
"""The value of a tag or pin that is set."""
STATUSES: Final = ("todo", "doing", "waiting", "done")
LONGEST_TAG: Final = 64
LONGEST_NOTE: Final = 10_000
_JOINERS: Final = "\u200c\u200d"
"""Parts of words and of emoji, though they are control characters."""


def tag_key(name: str) -> str:
    """The key of a tag. Raises InvalidMark if there can be none of this name."""
    return TAG + clean_tag(name)


def clean_tag(name: str) -> str:
    """The name of a tag as it is kept: in lower case, in the composed form of Unicode, without
    blanks around it. Raises InvalidMark if no tag can have it."""
    from unicodedata import normalize

    tag = normalize("NFC", normalize("NFC", name).lower().strip())
    if not tag:
        raise InvalidMark("a tag must not be empty")
    if len(tag) > LONGEST_TAG:
        raise InvalidMark(f"a tag has at most {LONGEST_TAG} characters")
    if tag.startswith("-"):
        raise InvalidMark(f"the tag {tag!r} begins with -")
    if "," in tag:
        raise InvalidMark(f"the tag {tag!r} holds a comma")
    if any(_is_blank_or_control(character) for character in tag):
        raise InvalidMark(f"the tag {tag!r} holds a blank or a control character")
    return tag


def _is_blank_or_control(character: str) -> bool:
    from unicodedata import category

    return character.isspace() or (
        category(character) in ("Cc", "Cf", "Cs") and character not in _JOINERS
    )


def checked_marks(changes: Mapping[str, str | None]) -> dict[str, str | None]:
    """Changes of marks, by their keys, as they are kept; None takes one back, as does an empty note
    or status.

    Raises InvalidMark if nothing is to be changed, or a key or value cannot be kept.
    """
    if not changes:
        raise InvalidMark("no tag, pin, note or status is to be changed")
    return dict(_checked(key, value) for key, value in changes.items())


def _checked(key: str, value: str | None) -> tuple[str, str | None]:
    if key == NOTE:
        return key, _checked_note(value or "")
    if key == STATUS:
        if value and value not in STATUSES:
            raise InvalidMark(f"the status is one of {', '.join(STATUSES)}, not {value!r}")
        return key, value or None
    if key != PINNED and not key.startswith(TAG):
        raise InvalidMark(f"threads have no mark {key!r}")
    if value not in (ON, None):
        raise InvalidMark(f"a tag or pin is set by {ON!r}, not by {value!r}")
    return (key if key == PINNED else tag_key(key.removeprefix(TAG))), value


def _checked_note(text: str) -> str | None:
    text = text.strip()
    if not is_storable(text) or "\0" in text:
        raise InvalidMark("a note must be text; a part of it is not")
    if len(text) > LONGEST_NOTE:
        raise InvalidMark(f"a note has at most {LONGEST_NOTE:,} characters")
    return text or None
