"""Takes out of a thread what should not be shared: secrets, e-mail addresses, home folders and the
names of users.

Secrets are found by the patterns of detect-secrets: its tokens of many services, and words such as
``password`` with a value. What it calls high entropy is left: ids and hashes, which threads are
full of, are no secrets. No detector finds all.
"""

import getpass
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

from cli.reading.errors import RedactorMissing

_NOT_SECRET: Final = frozenset({"IPPublicDetector", "PrivateKeyDetector"})
_DATA_URL: Final = re.compile(r"data:[a-z]+/[a-z0-9.+-]+;base64,")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{256,}={0,2}")
_HOME: Final = re.compile(
    r"(?P<before>/home/|/Users/|[A-Za-z]:[\\/]+Users[\\/]+)(?P<user>[^\s/\\\"'`:;,<>|*?&()\[\]{}$]+)"
)
_ROOT: Final = re.compile(r"(?<![\w./-])/root(?![\w-])")
_EMAIL: Final = re.compile(
    r"(?<![\w.+-])(?!git@)[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[a-zA-Z]{2,24}\b"
)
_KEY_BLOCK: Final = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
# detect-secrets knows only the older form of the first.
_MORE_TOKENS: Final = re.compile(
    r"\bsk-[A-Za-z0-9_-]{20,}|\bgithub_pat_\w{22,}|\bxox[a-z]-[\w-]{10,}|\bAIza[\w-]{35}"
    r"|(?<=[Bb]earer )[\w.~+/=-]{16,}"
)
# Some patterns end within what they find.
_REST: Final = re.compile(r"(\[redacted [^\]\n]{1,40}\])[\w~+/=-][\w.~+/=-]{5,}")
_WORDS: Final = re.compile(
    r"(?i)api_?-?key|auth_?-?key|service_?-?key|account_?-?key|db_?-?key|database_?-?key"
    r"|priv_?-?key|private_?-?key|client_?-?key|access_?-?key|credential|passw|pwd|secret|token"
    r"|contraseña|contrasena|cookie"
)
_ASSIGNED: Final = re.compile(
    r"(?<![\w.-])(?P<name>[\w.-]{0,128}(?:"
    + _WORDS.pattern[4:]
    + r")[\w.-]{0,128}\\{0,8}[\"']?\s{0,4}(?:=|:=|:|=>)\s{0,4})"  # \": JSON in JSON
    r"(?P<value>\\{0,8}\"[^\"\n]{4,}\"|'[^'\n]{4,}'|[^\s\"'`,;(){}\[\]<>]{8,})",
    re.IGNORECASE,
)
_GAP: Final = re.compile(r"(\s{64,})")
_NAMED: Final = re.compile(r"(?i)key|pw|pass|token|secret")
_WORDED: Final = re.compile(r"pwd\||secret")
_COMMON: Final = frozenset(
    {"root", "user", "users", "home", "admin", "dev", "ubuntu", "runner", "shared", "public", "me"}
)
"""Names of users that are words of the language; as parts of paths they are taken out."""
_SHORTEST_NAME: Final = 3


class Redactor:
    """Takes out what should not be shared, and counts it."""

    def __init__(self) -> None:
        """
        Raises:
            RedactorMissing: the library is not installed.
        """
        self.counts: Counter[str] = Counter()
        self.unseen = 0
        """Long runs of base64, in which nothing was looked for."""
        self._patterns = _patterns()
        self._names: set[str] = set()
        self._name_pattern: re.Pattern[str] | None = None
        self._learn(_own_name())

    def look_at(self, *folders: str) -> None:
        """Learn the names of users from folders: of what is learned later, earlier texts have
        had no use."""
        for folder in folders:
            for found in _HOME.finditer(folder):
                self._learn(found["user"])

    def value(self, value: Any) -> Any:
        """A value of JSON without them, in its keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(key): self._named(key, each) for key, each in value.items()}
        return value

    def _named(self, key: str, value: Any) -> Any:
        """The value of a key: ``{"password": …}`` is a secret by its name."""
        if isinstance(value, str) and len(value) >= 4 and _is_secret_name(key):
            return self._out("secret", "[redacted secret]")
        return self.value(value)

    def text(self, text: str) -> str:
        """A text without them."""
        if len(text) < 4:
            return text
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
        # Some patterns take for ever over a long run of blanks: no secret stands behind one.
        pieces = _GAP.split(text)
        pieces[::2] = [self._plain(piece) for piece in pieces[::2]]
        return "".join(pieces)

    def _plain(self, text: str) -> str:
        worded = _NAMED.search(text) is not None
        for kind, pattern, needs_word in self._patterns:
            if worded or not needs_word:
                text = pattern.sub(self._mark(kind), text)
        text = _MORE_TOKENS.sub(self._mark("token"), text)
        if "[redacted" in text:
            text = _REST.sub(r"\1", text)
        if _WORDS.search(text):
            text = _ASSIGNED.sub(self._assigned, text)
        if "@" in text:
            text = _EMAIL.sub(self._mark("e-mail"), text)
        text = _HOME.sub(self._folder, text)
        if "/root" in text:
            text = _ROOT.sub(lambda _: self._out("home folder", "/home/user"), text)
        if self._name_pattern:
            text = self._name_pattern.sub(lambda _: self._out("user name", "user"), text)
        return text

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
        words = "|".join(re.escape(each) for each in sorted(self._names, key=len, reverse=True))
        self._name_pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)

    def report(self) -> Iterator[str]:
        """What was taken out, and what was not looked at, in words."""
        found = [f"{count:,} × {kind}" for kind, count in sorted(self.counts.items())]
        yield f"Redacted: {', '.join(found) or 'nothing was found'}. Look through it all the same."
        if self.unseen:
            yield f"Not looked into: {self.unseen:,} images and other runs of base64."


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in some containers
        return ""


def _is_secret_name(key: str) -> bool:
    found = _WORDS.search(key)
    return found is not None and not re.search(r"(?i)tokens|count|usage|budget|limit", key)


def _looks_secret(value: str) -> bool:
    """Whether what a name such as ``password`` is given may be one: a quoted text, or a word that
    is none of a language."""
    value = value.lstrip("\\")
    if value[:1] in ('"', "'"):
        return " " not in value.strip("\"' ")
    return any(char.isdigit() for char in value) and any(char.isalpha() for char in value)


@cache
def _patterns() -> list[tuple[str, "re.Pattern[str]", bool]]:
    """Kinds of secrets, how they look, and whether only behind a name such as ``key``: those are
    slow to look for, and most texts have no such name."""
    try:
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
        from detect_secrets.plugins.base import RegexBasedDetector
    except ImportError as error:
        raise RedactorMissing from error
    found = []
    plugins: dict[str, Any] = get_mapping_from_secret_type_to_class()
    for kind, plugin in sorted(plugins.items()):
        if issubclass(plugin, RegexBasedDetector) and plugin.__name__ not in _NOT_SECRET:
            for pattern in plugin().denylist:
                found.append((kind, pattern, _WORDED.search(pattern.pattern) is not None))
    return found
