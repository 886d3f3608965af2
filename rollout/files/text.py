"""Text that can be stored everywhere: not all that JSON, names of files and arguments give can."""

import os


def storable_text(text: str) -> str:
    """``text`` without lone surrogates, which SQLite, pydantic and files in UTF-8 do not take."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def is_storable(text: str) -> bool:
    """Whether ``text`` has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable_path(path: str) -> str:
    """A path or an argument for people: bytes that are not UTF-8 become question marks."""
    return os.fsencode(path).decode(errors="replace")
