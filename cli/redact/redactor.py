"""Removes from a thread what should not be shared: secrets, e-mail addresses, home folders and user
names.

Secrets are found by the patterns of detect-secrets: tokens of many services, and words such as
``password`` with a value; and by what stands before them in commands and files that people paste
(:mod:`cli.redact.pasted`). Its search for high entropy is not used: threads are full of ids and
hashes, which are no secrets. No detector finds everything.
"""

import getpass
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from cli.redact.homes import home_pattern, homes_of, is_home, own_homes
from cli.redact.pasted import HEADERS, NEEDED, RULES, Rule
from cli.redact.secrets import lowered, patterns, replaced_at

_DATA_URL: Final = re.compile(r"data:[a-z]+/[a-z0-9.+-]+;base64,")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{256,}={0,2}")
_USER: Final = r"(?P<user>[^\s/\\\"'`:;,<>|*?&()\[\]{}$]+)"
_HOME: Final = re.compile(r"(?P<before>/home/|/Users/|[A-Za-z]:[\\/]+Users[\\/]+)" + _USER)
_LINUX_HOME: Final = re.compile("(?P<before>/home/)" + _USER)
_ROOT: Final = re.compile(r"(?<![\w./-])/root(?![\w-])")
_AT: Final = re.compile("@|%(?:25){0,3}40")  # as in URLs, and in URLs within URLs
_EMAIL: Final = re.compile(
    r"(?<![\w.+-])(?!git@)[\w.+%-]{1,64}(?:"
    + _AT.pattern
    + r")[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[a-zA-Z]{2,24}\b"
)
_LONGEST_LOCAL: Final = 64
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
_COMMON: Final = frozenset(
    {"root", "user", "users", "home", "admin", "dev", "ubuntu", "runner", "shared", "public", "me"}
)
"""User names that are also words; they are removed from paths only."""
_SHORTEST_NAME: Final = 3
_SHORT: Final = 64
_MOST_SHORT: Final = 10_000


_BETWEEN_WORDS: Final = "\x1f"
"""A blank, for patterns, that words of commands do not have."""
_LONGEST_COMMAND: Final = 10_000
_AUTHORIZATIONS: Final = frozenset({"authorization", "proxy-authorization", "auth"})


class Redactor:
    """Removes what should not be shared, and counts it."""

    def __init__(self) -> None:
        """Raises RedactorMissing if the library is not installed."""
        self.counts: Counter[str] = Counter()
        self.unseen = 0
        """Long runs of base64, which were not searched."""
        self._patterns = patterns()
        self._names: set[str] = set()
        self._homes: set[str] = set()
        self._home_names: set[str] = set()
        self._clean: set[str] = set()
        """Short texts without secrets: keys, types and words that come again and again."""
        self._name_pattern: re.Pattern[str] | None = None
        self._home_pattern: re.Pattern[str] | None = None
        self._user = _own_name()
        self._learn(self._user)
        for home in own_homes():
            self._learn_home(home)

    def look_at(self, *folders: str) -> None:
        """Learn user names and homes from folders. Texts that were cleaned before keep them."""
        for folder in folders:
            for found in _HOME.finditer(folder):
                self._learn(found["user"])
            for home, name in homes_of(folder, self._user if self._user in self._names else ""):
                self._learn_home(home)
                self._learn(name)

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
            return self._out("secret", "[redacted secret]")
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
        for pattern in self._patterns:
            if pattern.need.met(low):
                text = pattern.regex.sub(self._mark(pattern.kind), text)
                low = lowered(text)
        if "[redacted" in text:
            text = _REST.sub(r"\1", text)
            low = lowered(text)
        text, low = self._pasted(HEADERS, text, low)
        text = replaced_at(_ASSIGNED, text, _names(text, low), self._assigned)
        if "@" in text or "%" in text:
            text = replaced_at(_EMAIL, text, _locals(text), self._mark("e-mail"))
        if self._home_pattern and self._may_be_home(text):
            text = self._home_pattern.sub(lambda _: self._out("home folder", "/home/user"), text)
        if "Users" in text:
            text = _HOME.sub(self._folder, text)
        elif "/home/" in text:
            text = _LINUX_HOME.sub(self._folder, text)
        if "/root" in text:
            text = _ROOT.sub(lambda _: self._out("home folder", "/home/user"), text)
        if self._name_pattern and self._may_name(text):
            text = self._name_pattern.sub(lambda _: self._out("user name", "user"), text)
        return text

    def _pasted(self, rules: Iterable[Rule], text: str, low: str) -> tuple[str, str]:
        for rule in rules:
            if rule.need.met(low):
                text = rule.replaced(text, self._mark(rule.kind))
                low = lowered(text)
        return text, low

    def _may_be_home(self, text: str) -> bool:
        return any(name in text for name in self._home_names)

    def _may_name(self, text: str) -> bool:
        if not text.isascii():
            return True
        low = text.lower()
        return any(lowered(name) in low for name in self._names)

    def _mark(self, kind: str) -> Callable[["re.Match[str]"], str]:
        return lambda _: self._out(kind, f"[redacted {kind}]")

    def _assigned(self, found: "re.Match[str]") -> str:
        value = found["value"]
        if "[redacted" in value or not _looks_secret(value):
            return found[0]
        return found["name"] + self._out("secret", "[redacted secret]")

    def _folder(self, found: "re.Match[str]") -> str:
        if found["user"] == "user":
            return found[0]
        self._learn(found["user"])
        return self._out("home folder", f"{found['before']}user")

    def _out(self, kind: str, instead: str) -> str:
        self.counts[kind] += 1
        return instead

    def _learn(self, name: str) -> None:
        if len(name) < _SHORTEST_NAME or name.lower() in _COMMON or name in self._names:
            return
        self._names.add(name)
        self._clean.clear()
        words = "|".join(re.escape(each) for each in sorted(self._names, key=len, reverse=True))
        self._name_pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)

    def _learn_home(self, home: str) -> None:
        known = home in self._homes or _HOME.fullmatch(home) or _ROOT.fullmatch(home)
        if known or not is_home(home):
            return
        self._homes.add(home)
        self._home_names = {re.split(r"[\\/]", each)[-1] for each in self._homes}
        self._clean.clear()
        self._home_pattern = home_pattern(self._homes)

    def report(self) -> Iterator[str]:
        """Sentences on what was removed and what was not searched."""
        found = [f"{count:,} × {kind}" for kind, count in sorted(self.counts.items())]
        yield f"Redacted: {', '.join(found) or 'nothing'}. Review the result all the same."
        if self.unseen:
            yield f"Not searched: {self.unseen:,} images and other runs of base64."


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in some containers
        return ""


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
        while at > max(before, least, 0) and _in_name(text[at - 1]):
            at -= 1
        if at > before:
            before = at
            yield at


def _in_name(character: str) -> bool:
    return character.isalnum() or character in "_.-"


def _locals(text: str) -> Iterator[int]:
    """Where e-mail addresses may begin."""
    for hit in _AT.finditer(text):
        at, least = hit.start(), max(hit.start() - _LONGEST_LOCAL, 0)
        found = []
        while at > least and (_in_name(text[at - 1]) or text[at - 1] in "+%"):
            at -= 1
            if at == 0 or not (_in_name(text[at - 1]) or text[at - 1] == "+"):
                found.append(at)
        yield from reversed(found)
