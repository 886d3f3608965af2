"""The patterns of secrets: those of detect-secrets and a few more, and what a text must contain for
one of them to match.

There are many patterns and few secrets, so a quick test that rules a pattern out saves nearly all
of the time (8 MB take 1.7 s instead of 13.7 s). The tests belong to the patterns of one version of
the library; other patterns are always searched for, and tests/cli/redact/test_redact.py fails until
they have tests of their own.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any, Final

from cli.later import later
from cli.redact.tokens import PREFIXED

_NOT_SECRET: Final = frozenset({"IPPublicDetector", "PrivateKeyDetector"})
_NOT_CALLED: Final = ("requests",)
"""What detect-secrets asks the web with whether a secret is valid, which we never have it do: half
of the time and of the memory that loading it takes."""


@dataclass(frozen=True, slots=True)
class Need:
    """What every text that a pattern matches contains; texts are :func:`lowered` for it."""

    words: tuple[str, ...] = ()
    """One of these, if there are any."""
    shape: "re.Pattern[str] | None" = None
    """Something of this shape."""
    mark: str = ""
    """A character that all of the words contain."""

    def met(self, low: str) -> bool:
        """Whether a lowered text contains it."""
        if self.mark not in low:
            return False
        for word in self.words:
            if word in low:
                break
        else:
            if self.words:
                return False
        return self.shape is None or self.shape.search(low) is not None


@dataclass(frozen=True, slots=True)
class Pattern:
    """The pattern of one kind of secret."""

    kind: str
    regex: "re.Pattern[str]"
    need: Need


def _words(*words: str) -> Need:
    return Need(words)


def _shape(pattern: str, *words: str) -> Need:
    return Need(words, re.compile(pattern))


# A name with a value.
_GIVEN: Final = _shape(
    r"(?:key|pw|pwd|pass|password|token)[\"']?\]?[ =:>]+[\"']?[0-9a-z_-]{24}",
    *("key", "pw", "pass", "token"),
)
_NEEDS: Final[dict[str, tuple[Need, ...]]] = {
    "AWS Access Key": (_words("a3t", "abia", "acca", "akia", "asia"), _words("aws")),
    "Artifactory Credentials": (_words("akc"), _shape(r"ap[\da-f][a-z0-9]{8}")),
    "Azure Storage Account access key": (_words("accountkey="),),
    "Basic Auth Credentials": (_words("://"),),
    "Cloudant Credentials": (_GIVEN, _GIVEN, _words("cloudant"), _words("cloudant")),
    "Discord Bot Token": (_shape(r"\.[a-z\d_-]{6}\.[a-z\d_-]{27}"),),
    "GitHub Token": (_shape("gh[pousr]_"),),
    "GitLab Token": (
        _words("glpat-", "gldt-", "glft-", "glsoat-", "glrt-"),
        *map(_words, ("gr1348941", "glcbt-", "glimt-", "glptt-", "glagent-", "gloas-")),
    ),
    "IBM COS HMAC Credentials": (_GIVEN,),
    "IBM Cloud IAM Key": (_GIVEN,),
    "JSON Web Token": (_words("eyj"),),
    "Mailchimp Access Key": (_shape("-us[0-9]", "-us"),),
    "NPM tokens": (_words(":_authtoken="),),
    "OpenAI Token": (_words("t3blbkfj"),),
    "PyPI Token": (_words("pypi-ageichlwas5vcmc"), _words("pypi-agendgvzdc5wexbplm9yzw")),
    "SendGrid API Key": (_words("sg."),),
    "Slack Token": (_words("xox"), _words("hooks.slack.com/services/")),
    "SoftLayer Credentials": (_GIVEN, _words("softlayer")),
    "Square OAuth Secret": (_words("sq0csp-"),),
    "Stripe Access Key": (_words("k_live_"),),
    "Telegram Bot Token": (_shape(":[0-9a-z_-]{35}"),),
    "Twilio API Key": (_shape("ac[a-z0-9]{32}"), _shape("sk[a-z0-9]{32}")),
}
_DIGEST: Final = "cf699a0af3296542"
"""Of the patterns that these needs belong to."""

# detect-secrets knows an older form of the first, and the last only in a .npmrc.
_MORE: Final = Pattern(
    "token",
    re.compile(
        r"\bsk-[A-Za-z0-9_-]{20,}|\bgithub_pat_\w{22,}|\bxox[a-z]-[\w-]{10,}|\bAIza[\w-]{35}"
        r"|(?<=[Bb]earer )[\w.~+/=-]{16,}|\bnpm_[A-Za-z0-9]{30,}"
    ),
    _shape(
        r"sk-[a-z0-9_-]{20}|github_pat_|xox[a-z]-|aiza|earer |npm_[a-z0-9]{30}",
        *("sk-", "github_pat_", "xox", "aiza", "earer ", "npm_"),
    ),
)

_SEPARATORS: Final = "_-.~"


def _prefixed() -> Iterator[Pattern]:
    """The tokens of :mod:`cli.redact.tokens`, grouped by the last character of their prefixes, so
    that a text without it is searched once and not for each of them."""
    entries = [
        (prefix, made_of, least)
        for _, made_of, least, prefixes in PREFIXED
        for prefix in prefixes.split()
    ]
    for mark in (*_SEPARATORS, ""):
        some = [each for each in entries if (each[0][-1] == mark if mark else each[0].isalnum())]
        regex = "|".join(f"{re.escape(prefix)}{of}{{{least},}}" for prefix, of, least in some)
        words = tuple(prefix.lower() for prefix, _, _ in some)
        yield Pattern("token", re.compile(f"(?<![A-Za-z0-9])(?:{regex})"), Need(words, mark=mark))


@cache
def patterns() -> list[Pattern]:
    """All of them, in the order of the search."""
    # Takes a while, which all else would wait for.
    try:
        with later(_NOT_CALLED):
            plugins = _plugins()
    except Exception:  # noqa: BLE001 - another version needs them at once
        plugins = _plugins()
    from detect_secrets.plugins.base import RegexBasedDetector

    found = [
        (kind, list(plugin().denylist))
        for kind, plugin in sorted(plugins.items())
        if issubclass(plugin, RegexBasedDetector) and plugin.__name__ not in _NOT_SECRET
    ]
    return [*needed(found), _MORE, *_prefixed()]


def _plugins() -> dict[str, Any]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    found: dict[str, Any] = get_mapping_from_secret_type_to_class()
    return found


@cache
def words_of_patterns() -> "re.Pattern[str]":
    """Matches the words of patterns that need no shape."""
    return any_of(word for each in patterns() if not each.need.shape for word in each.need.words)


def needed(found: Iterable[tuple[str, "list[re.Pattern[str]]"]]) -> Iterator[Pattern]:
    """Patterns with what each of them needs, if that is known for all."""
    kinds = list(found)
    digest = blake2b(digest_size=8)
    for kind, regexes in kinds:
        for regex in regexes:
            digest.update(f"{kind}\n{regex.pattern}\n{regex.flags}\n".encode())
    known = digest.hexdigest() == _DIGEST
    for kind, regexes in kinds:
        needs = _NEEDS[kind] if known else [Need()] * len(regexes)
        for regex, need in zip(regexes, needs, strict=True):
            yield Pattern(kind, regex, need)


def any_of(words: Iterable[str]) -> "re.Pattern[str]":
    """Matches any of these words. Beginnings that they share are compared once, so that many words
    take a third of the time that a search for each of them does."""
    return re.compile(_any_of({*words}))


def _any_of(words: set[str]) -> str:
    if "" in words:
        return ""
    rests: dict[str, set[str]] = {}
    for word in sorted(words):
        rests.setdefault(word[0], set()).add(word[1:])
    return f"(?:{'|'.join(re.escape(first) + _any_of(rest) for first, rest in rests.items())})"


def lowered(text: str) -> str:
    """``text`` in lower case, with the ASCII letter for every character that a pattern that ignores
    case takes for it."""
    low = text.lower()
    if low.isascii():
        return low
    return low.replace("\u017f", "s").replace("\u0131", "i").replace("i\u0307", "i")


def replaced_at(
    regex: "re.Pattern[str]",
    text: str,
    starts: Iterable[int],
    instead: "Callable[[re.Match[str]], str]",
) -> str:
    """As ``regex.sub(instead, text)``, where no match begins but at ``starts``."""
    parts: list[str] = []
    end = 0
    for start in starts:
        found = regex.match(text, start) if start >= end else None
        if found:
            parts += (text[end:start], instead(found))
            end = found.end()
    return "".join((*parts, text[end:])) if parts else text
