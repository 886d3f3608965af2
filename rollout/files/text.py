"""Text that everybody can store."""


def storable_text(text: str) -> str:
    """``text`` without lone surrogates, which SQLite, pydantic and files in UTF-8 do not take: they
    come from JSON escapes, and from bytes of names and arguments that are no UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
