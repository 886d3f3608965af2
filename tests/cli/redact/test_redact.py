"""Redaction finds all that its patterns find one after the other in the whole of a text, sooner."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cli.redact import redactor as redact
from cli.redact import remover
from cli.redact.pasted import HEADERS, RULES
from cli.redact.redactor import Redactor
from cli.redact.secrets import Need, Pattern, needed, patterns
from rollout.jsonl.parse import Line, parse_line
from rollout.jsonl.reader import LineReader, open_rollout
from tests.support.each import each
from tests.support.effort import examples

LETTERS = "aB3dE6gH9"
WORDS = [
    "password",
    "token",
    "key",
    " = ",
    ": ",
    "=",
    "'",
    '"',
    "\n",
    " ",
    "\t" * 70,
    "a@b.co",
    "%40",
    "%2540",
    "%",
    "mia.meier",
    "example.org",
    "@",
    "/home/mia/x",
    "C:\\Users\\mia",
    "/root",
    "[redacted x]",
    "mia",
    "Bearer ",
    "git@",
    "hunter2hunter2",
    "ſecret",
    "KEY",
    "PaßWORT",
    "i\u0307",
    "\u0130",
    "-",
    ".",
    "npm_" + LETTERS * 4,
    "a" * 64,
    "b" * 129,
    "//registry/:_authToken=npm_x",
    "AKIA" + "A1" * 8,
    "aws_key '" + "a1" * 20 + "'",
    "ſk-",
    "“",
    "\ud800",
    "-----BEGIN PRIVATE KEY-----",
    "curl -u jane:",
    " --user=",
    "mysql -p",
    "docker login -p ",
    "sshpass -p",
    "PGPASSWORD=",
    "machine h login jane password ",
    "Authorization: Basic ",
    "sesame",
]


class Plain(Redactor):
    """Looks for everything everywhere."""

    def text(self, text: str) -> str:
        return self._text(text) if len(text) >= 4 else text

    def _plain(self, text: str) -> str:
        return "".join(
            self._each(part) if at % 2 == 0 else part
            for at, part in enumerate(remover._GAP.split(text))
        )

    def _each(self, text: str) -> str:
        for rule in RULES:
            text = rule.replaced(text, self._mark(rule.kind))
        for pattern in patterns():
            text = pattern.regex.sub(self._mark(pattern.kind), text)
        text = remover._REST.sub(r"\1", text)
        for rule in HEADERS:
            text = rule.replaced(text, self._mark(rule.kind))
        text = remover._ASSIGNED.sub(self._assigned, text)
        text = redact._EMAIL.sub(self._mark("e-mail"), text)
        if self._home_pattern:
            text = self._home_pattern.sub(
                lambda found: self._out("home folder", "/home/user", found[0]), text
            )
        text = redact._HOME.sub(self._folder, text)
        text = redact._ROOT.sub(
            lambda found: self._out("home folder", "/home/user", found[0]), text
        )
        if self._name_pattern:
            text = self._name_pattern.sub(
                lambda found: self._out("user name", "user", found[0]), text
            )
        return text


def same(values: list[Any]) -> None:
    """Check that the plain way takes out of these values the same."""
    plain, quick = Plain(), Redactor()
    for value in values:
        assert quick.value(value) == plain.value(value)
    assert quick.counts == plain.counts
    assert quick.unseen == plain.unseen


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in (*value, *value.values()):
            yield from texts_of(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts_of(part)


def test_all_texts_of_the_corpus_are_redacted_as_by_the_plain_way(corpus_home: Path) -> None:
    found: dict[str, None] = {}
    for path in sorted(corpus_home.rglob("rollout-*")):
        if path.suffix == ".jsonl":
            with open_rollout(path) as stream:
                for line in LineReader().lines(stream):
                    if isinstance(line, Line):
                        found.update(dict.fromkeys(texts_of(parse_line(line))))
    assert len(found) > 5000
    same([*found])


secret = st.one_of([st.from_regex(one.regex, fullmatch=True) for one in patterns()])


@given(st.lists(secret | st.sampled_from(WORDS) | st.text(max_size=5), max_size=12))
@examples(100)
def test_made_up_secrets_are_redacted_as_by_the_plain_way(parts: list[str]) -> None:
    text = "".join(parts)
    same([text, {"x": [text, json.dumps({"y": text})]}, text.swapcase()])


def test_what_a_pattern_matches_has_what_it_needs() -> None:
    """A secret of each kind, in whatever surrounds it."""

    def check(pattern: Pattern) -> None:
        assert pattern.need != Need()  # the library has other patterns: tell what they need

        @given(st.from_regex(pattern.regex), st.sampled_from(WORDS))
        @examples(20)
        def holds(text: str, word: str) -> None:
            same([text, f"{word} {text} {word}", text.swapcase()])
            redactor = Redactor()
            redactor.text(f"x {text}")
            assert sum(redactor.counts.values()) > 0

        holds()

    each(patterns(), check)


TOKENS = [
    "hf_NqVwYS81VP7Hb1DX8pPd5khxE3pyIgKpaU",
    "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",
    "xai-" + LETTERS * 8,
    "r8_vGNx6jvr7SIftRutlZfOjUStEkUdfMI7zcpVM",
    "lin_api_w0qDPAjd6OcZFv1niUK8iO5YAgkBxjd2AsjD7N2k",
    "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",
    "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",
    "dop_v1_" + "0af9" * 16,
    "sbp_" + "0af9" * 10,
    "dckr_pat_bhQN9CpscYi0zaEIJrp7EYcpFr2",
    "shpat_" + "0af9" * 8,
    "dp.pt.D1Wet1aSXBLsPXE6tjkESJ4FvIjBLIZdeUor0fYeQ8b",
    "dapi" + "0af9" * 8,
    "ntn_uRMFFw8Px6diSsjKORGs68JJNoqeJpq1WsHiZp3xDVyliT",
    "ghp_bPvfKQcf3hGMDpy4DE9ugYHbIUyd2j88BRYo",
    "glpat-Vhf6QF0niSNyw1psv7NT",
    "sk_" + "test_" + LETTERS * 2,
    "sha256~" + LETTERS * 5,
    "hvs." + LETTERS * 10,
    "ya29." + LETTERS * 6,
]


def test_tokens_are_known_by_their_prefixes() -> None:
    def check(token: str) -> None:
        for text in (f"use {token} there", f'["{token}"]', f"https://x.example/?a={token}", token):
            clean = Redactor().text(text)
            assert token not in clean
            assert "[redacted" in clean

    each(TOKENS, check)


KEPT = [
    "hf_hub_download(repo_id, filename)",
    "pa-" + "ging-through-a-list",
    "from re_export_things_that_are_long import x",
    "the pull-request and xai-grok",
    "API-DOCUMENTATION",
    "secret_sauce_of_the_house_is_this_one",
    "key-value-store",
    "01a10001-0000-7000-8000-000000000001",
    "shell_snapshot_fc-cache",
    "sha256:" + "0af9" * 16,
]


def test_words_that_begin_as_tokens_do_are_kept() -> None:
    def check(text: str) -> None:
        assert Redactor().text(text) == text

    each(KEPT, check)


def test_patterns_of_another_version_are_looked_for_everywhere() -> None:
    (made,) = needed([("AWS Access Key", [re.compile("new-[0-9]{4}")])])
    assert made.need == Need()


TOLD = [
    "npm_" + LETTERS * 4,
    "mia.meier%40example.org",
    "mia.meier%2540example.org",
    "mia+list%40mail.example.org",
    "ghp_" + LETTERS * 4,
]


def test_what_is_told_in_the_docs_is_found_wherever_it_stands() -> None:
    def check(secret: str) -> None:
        for before, after in ((" ", " "), ("=", "&x=1"), ("(", ")"), ("\n", ""), ("?to=", "")):
            for value in (f"see{before}{secret}{after}", {"x": f"{before}{secret}{after}"}):
                assert secret not in json.dumps(Redactor().value(value))

    each(TOLD, check)


def test_percent_signs_and_names_of_packages_stay() -> None:
    for text in (
        "100%4000 of it",
        "npm_config_registry=http://x",
        "a%20b@c",
        "npm_package_version",
    ):
        assert Redactor().text(text) == text
