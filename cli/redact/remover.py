"""Removes secrets from JSON values and texts.

Secrets are found by the patterns of detect-secrets: tokens of many services, and words such as
``password`` with a value; and by what stands before them in commands and files that people paste
(:mod:`cli.redact.pasted`). Its search for high entropy is not used: threads are full of ids and
hashes, which are no secrets. No detector finds everything.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from cli.redact.pasted import HEADERS, NEEDED, RULES, Rule
from cli.redact.secrets import lowered, patterns, replaced_at, words_of_patterns

_DATA_URL: Final = re.compile(r"data:[a-z]+/[a-z0-9.+-]+;base64,")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{256,}={0,2}")
_KEY_BLOCK: Final = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
# Some patterns end within the secret.
_REST: Final = re.compile(r"(\[redacted [^\]\n]{1,40}\])[\w~+/=-][\w.~+/=-]{5,}")
_WORDS: Final = re.compile(
    r"(?i)api_?-?key|auth_?-?key|service_?-?key|account_?-?key|db_?-?key|database_?-?key"
    r"|priv_?-?key|private_?-?key|client_?-?key|access_?-?key|credential|passw|pwd|secret|token"
    r"|contraseña|contrasena|cookie"
)
_ROOTS: Final = re.compile("key|credential|passw|pwd|secret|token|contrase|cookie")
"""Each of the words contains one of these, in lower case."""
_LONGEST_NAME: Final = 128
_LONGEST_WORD: Final = 16
_ASSIGNED: Final = re.compile(
    r"(?<![\w.-])(?P<name>[\w.-]{0,128}(?:"
    + _WORDS.pattern[4:]
    + r")[\w.-]{0,128}\\{0,8}[\"']?\s{0,4}(?:=|:=|:|=>)\s{0,4})"  # \": JSON in JSON
    r"(?P<value>\\{0,8}\"[^\"\n]{4,}\"|'[^'\n]{4,}'|[^\s\"'`,;(){}\[\]<>]{8,})",
    re.IGNORECASE,
)
_GAP: Final = re.compile(r"(\s{64,})")
_SURELY_IN_GAP: Final = 32  # blanks: a gap has so many of them at a multiple of that
_SHORT: Final = 64
_MOST_SHORT: Final = 10_000
_BETWEEN_WORDS: Final = "\x1f"
"""A blank, for patterns, that words of commands do not have."""
_LONGEST_COMMAND: Final = 10_000
_AUTHORIZATIONS: Final = frozenset({"authorization", "proxy-authorization", "auth"})


class SecretRemover:
    """Removes secrets, and counts them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.unseen = 0
        """Long runs of base64, which were not searched."""
        self._patterns = patterns()
        self._shaped = [each for each in self._patterns if each.need.shape or not each.need.words]
        self._words = words_of_patterns()
        """Of the others."""
        self._clean: set[str] = set()
        """Short texts without secrets: keys, types and words that come again and again."""

    def value(self, value: Any) -> Any:
        """A JSON value without secrets, in its keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            if len(value) > 1 and all(isinstance(each, str) for each in value):
                value = self._command(value)
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(key): self._named(key, each) for key, each in value.items()}
        return value

    def copy(self, value: Any) -> Any:
        """As :meth:`value`, of a copy of what is counted elsewhere."""
        counts, unseen = self.counts.copy(), self.unseen
        clean = self.value(value)
        self.counts, self.unseen = counts, unseen
        return clean

    def _named(self, key: str, value: Any) -> Any:
        """The value of a key. ``{"password": …}`` is a secret by its name."""
        if isinstance(value, str) and len(value) >= 4 and _is_secret_name(key):
            return self._out("secret", "[redacted secret]", value)
        if isinstance(value, str) and key.lower() in _AUTHORIZATIONS:
            before = f'"{key}": "'
            line = f'{before}{value}"'
            clean, _ = self._pasted(HEADERS, line, lowered(line))
            if clean != line:
                return clean[len(before) : -1]
        return self.value(value)

    def _command(self, words: list[str]) -> list[str]:
        """A command as a list of words, or any other texts."""
        line = _BETWEEN_WORDS.join(words)
        if len(line) > _LONGEST_COMMAND:
            return words
        low = lowered(line)
        if not NEEDED.search(low):
            return words
        clean, _ = self._pasted(RULES, line, low)
        found = clean.split(_BETWEEN_WORDS)
        return found if len(found) == len(words) else words

    def text(self, text: str) -> str:
        """A text without secrets."""
        if len(text) < 4 or text in self._clean:
            return text
        clean = self._text(text)
        if clean == text and len(text) <= _SHORT:
            if len(self._clean) == _MOST_SHORT:
                self._clean.clear()
            self._clean.add(text)
        return clean

    def _text(self, text: str) -> str:
        if _DATA_URL.match(text):
            self.unseen += 1
            return text
        if text[0] in "{[":  # JSON in a string, as the arguments of tools are
            try:
                inner = json.loads(text)
            except (ValueError, RecursionError):
                pass
            else:
                if isinstance(inner, dict | list):
                    clean = self.value(inner)
                    return text if clean == inner else json.dumps(clean, ensure_ascii=False)
        if len(text) > 256 and _BASE64.fullmatch(text):
            self.unseen += 1
            return text
        if "PRIVATE KEY" in text:
            text = _KEY_BLOCK.sub(self._mark("private key"), text)
        if not _may_have_gap(text):
            return self._plain(text)
        # Some patterns take very long on a run of blanks. No secret follows one.
        pieces = _GAP.split(text)
        pieces[::2] = [self._plain(piece) for piece in pieces[::2]]
        return "".join(pieces)

    def _plain(self, text: str) -> str:
        low = lowered(text)
        if NEEDED.search(low):
            text, low = self._pasted(RULES, text, low)
        for pattern in self._patterns if self._words.search(low) else self._shaped:
            if pattern.need.met(low):
                text = pattern.regex.sub(self._mark(pattern.kind), text)
                low = lowered(text)
        if "[redacted" in text:
            text = _REST.sub(r"\1", text)
            low = lowered(text)
        text, low = self._pasted(HEADERS, text, low)
        return replaced_at(_ASSIGNED, text, _names(text, low), self._assigned)

    def _pasted(self, rules: Iterable[Rule], text: str, low: str) -> tuple[str, str]:
        for rule in rules:
            if rule.need.met(low):
                text = rule.replaced(text, self._mark(rule.kind))
                low = lowered(text)
        return text, low

    def _mark(self, kind: str) -> Callable[["re.Match[str]"], str]:
        def instead(found: "re.Match[str]") -> str:
            removed = found["secret"] if "secret" in found.re.groupindex else found[0]
            return self._out(kind, f"[redacted {kind}]", removed)

        return instead

    def _assigned(self, found: "re.Match[str]") -> str:
        value = found["value"]
        if "[redacted" in value or not _looks_secret(value):
            return found[0]
        return found["name"] + self._out("secret", "[redacted secret]", value)

    def _out(self, kind: str, instead: str, removed: str) -> str:
        """``instead``, for what is ``removed``."""
        self.counts[kind] += 1
        return instead


@lru_cache(_MOST_SHORT)
def _is_secret_name(key: str) -> bool:
    found = _WORDS.search(key)
    return found is not None and not re.search(r"(?i)tokens|count|usage|budget|limit", key)


def _looks_secret(value: str) -> bool:
    """Whether the value of a name such as ``password`` may be a secret: a quoted text, or a word
    with digits."""
    value = value.lstrip("\\")
    if value[:1] in ('"', "'"):
        return " " not in value.strip("\"' ")
    return any(char.isdigit() for char in value) and any(char.isalpha() for char in value)


def _may_have_gap(text: str) -> bool:
    size = _SURELY_IN_GAP
    starts = range(0, len(text) - size + 1, size)
    return len(text) >= 2 * size and any(text[at : at + size].isspace() for at in starts)


def _names(text: str, low: str) -> Iterator[int]:
    """Where a name may begin that has a value and contains one of the words."""
    hits = (_ROOTS if len(low) == len(text) else _WORDS).finditer(
        low if len(low) == len(text) else text
    )
    before = -1
    for hit in hits:
        at, least = hit.start(), hit.start() - _LONGEST_NAME - _LONGEST_WORD
        while at > max(before, least, 0) and in_name(text[at - 1]):
            at -= 1
        if at > before:
            before = at
            yield at


def in_name(character: str) -> bool:
    """Whether names may have a character."""
    return character.isalnum() or character in "_.-"
