"""Secrets by what stands before them: options of commands, environment variables, headers, lines of
files such as ``.netrc``.

Passwords have no shape of their own. What only stands for one stays: ``$PASSWORD``, ``<password>``,
``***``.
"""

import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cli.redact.secrets import Need, any_of

_GAP: Final = r"(?:[^\n;|&]|(?<=\\)\n|[;|](?!\s)|(?<!&)&(?!&)){0,400}?"
"""The rest of a command, which may go on in the next line and have URLs with ``&``."""
_BETWEEN: Final = r"(?:\\{0,4}[\"'])?(?:\s{0,4}\\\n)?[\s,]{1,12}"
"""Of the words of a command, which may be a list of texts."""
_MAYBE: Final = rf"(?:=|{_BETWEEN})?"
_QUOTE: Final = r"(?P<quote>\\{0,4}[\"'])?"  # escaped in JSON
_SECRET: Final = (
    r"(?!\\{0,4}(?<!')\$[\w{(]|[<{`-]|\*{2}|\.{3}|…|%\w+%|%[a-z]\b|//|\[redacted "
    r"|\w+(?:\.\w+)*[(\[]"
    r"|(?i:x{3,}|your|pass(?:word|wd)?(?![\w-])|(?:secret|token)(?![\w-])))"
    r"(?P<secret>(?(quote)(?:[^\"'\n\\]|\\(?![\"'\\nrt]))+"
    r"|(?:[^\s\"'`<>|;&()\\]|\\(?![\s\"'\\nrt]))+))"
)
_USER: Final = r"[^\s\"':]{0,64}:(?:\\{0,4}[\"'])?"
_WORD: Final = r"[^\s\\]{1,256}"
_NEXT: Final = r"(?:\s|\\{1,4}[nrt])(?:[\s+>|]|\\{1,4}[nrt]){0,20}"
"""Between words of a ``.netrc``, whose lines may be those of a patch."""
_NO_VALUES: Final = re.compile(
    "a|an|and|are|as|by|false|for|from|if|in|is|may|must|no|none|null|on|option|or|set|the|to|true"
    "|via|when|with|yes|0|1",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """Where a secret stands: in the group ``secret`` of a match."""

    kind: str
    regex: "re.Pattern[str]"
    need: Need
    likely: Callable[[str], bool]
    """Whether what stands there is a secret."""

    def replaced(self, text: str, mark: Callable[["re.Match[str]"], str]) -> str:
        """``text`` with what ``mark`` makes of the matches in place of their secrets."""

        def instead(found: "re.Match[str]") -> str:
            if not self.likely(found["secret"]):
                return found[0]
            start = found.start()
            before, after = found.start("secret") - start, found.end("secret") - start
            return found[0][:before] + mark(found) + found[0][after:]

        before = ""
        while text != before:  # a command may have several
            before, text = text, self.regex.sub(instead, text)
        return text


def _is_set(value: str) -> bool:
    """Whether it is a value, and not a word of a sentence."""
    return not _NO_VALUES.fullmatch(value.rstrip(".,:"))


def _is_no_port(value: str) -> bool:
    """Whether it is a value, and no port or mapping of ports."""
    return _is_set(value) and not re.fullmatch(r"\d{2,5}(?:[:/].*)?|[\d.]+:\d.*", value)


def _is_mixed(value: str) -> bool:
    """Whether it has letters and digits."""
    return any(map(str.isdigit, value)) and any(map(str.isalpha, value))


def _is_encoded(value: str) -> bool:
    """Whether it is a token or base64 rather than a word."""
    return len(value) >= 16 or _is_mixed(value) or bool(re.search("[a-z][A-Z]", value))


def _is_user_and_password(value: str) -> bool:
    """Whether it is the base64 of ``user:password``."""
    try:
        return b":" in b64decode(value, validate=True)
    except ValueError:
        return False


def _rule(
    pattern: str,
    *words: str,
    kind: str = "password",
    likely: Callable[[str], bool] = _is_set,
) -> Rule:
    return Rule(kind, re.compile(pattern), Need(words), likely)


def _option(
    programs: str, option: str, *words: str, likely: Callable[[str], bool] = _is_set
) -> Rule:
    """The value of an option of these programs."""
    program = rf"(?<![\w.-])(?:{programs})(?![\w.:=-])"
    return _rule(
        rf"{program}{_GAP}(?<=[\s\"'])(?:{option}){_SECRET}",
        *words,
        likely=likely,
    )


RULES: Final = (
    _rule(  # .netrc
        rf"(?m)(?:(?:^[ +>-]{{0,4}}|(?<=[\"'`nrt]))machine{_NEXT}{_WORD}"
        rf"|(?<!\w)(?:machine{_NEXT}[\w-]{{1,64}}[.:][\w.:-]{{1,256}}|default))"
        rf"(?:(?:{_NEXT}(?:login|account){_NEXT}{_WORD}){{1,2}}{_NEXT}password"
        rf"|{_NEXT}password(?={_NEXT}{_WORD}{_NEXT}login{_NEXT}))"
        rf"{_NEXT}(?!\[redacted |[<{{]|\$[\w{{(])(?P<secret>[^\s\"'\\]+)",
        "password",
    ),
    _rule(  # .pgpass
        r"(?m)(?<![^\s\"'>+-])[\w.*-]{1,256}:(?:\*|543\d|6432):[\w.*-]{1,64}:[\w.*-]{1,64}:"
        r"(?!\[redacted |[<{]|\$[\w{(])(?P<secret>[^\s\"'\\]+)",
        *(":*:", ":543", ":6432:"),
    ),
    _option("curl", rf"(?:-[A-Za-z]{{0,5}}[uU]|--(?:proxy-)?user){_MAYBE}{_QUOTE}{_USER}", "curl"),
    _option(
        r"(?:mysql|mariadb)(?:-?(?:dump|admin|import|check|show|slap|sh|binlog))?",
        rf"-p{_QUOTE}(?!rotocol|ort)",
        *("mysql", "mariadb"),
        likely=_is_no_port,
    ),
    _option(
        rf"(?:docker|podman|nerdctl|buildah|skopeo|oras|crane|registry|az|oc|cf|argocd){_BETWEEN}login",
        rf"(?:-p|--password(?![\w-])){_MAYBE}{_QUOTE}",
        "login",
    ),
    _option(
        "mongo(?:sh|dump|restore|import|export|stat|top)?|cqlsh|twine",
        rf"(?:-p|--password(?![\w-])){_MAYBE}{_QUOTE}",
        *("mongo", "cqlsh", "twine"),
        likely=_is_no_port,
    ),
    _option("redis-cli", rf"(?:-a|--pass(?![\w-])){_MAYBE}{_QUOTE}", "redis-cli"),
    _option("ldap(?:search|modify|add|delete|whoami|passwd)", rf"-w{_MAYBE}{_QUOTE}", "ldap"),
    _option("sqlcmd|bcp|unzip|zip", rf"-P{_MAYBE}{_QUOTE}", *("sqlcmd", "bcp", "zip")),
    _option("openssl", rf"-pass(?:in|out)?{_BETWEEN}{_QUOTE}pass:", "openssl"),
    _option(
        "gpg2?|wget|svn",
        rf"--(?:[a-z]+-)?pass(?:word|phrase){_MAYBE}{_QUOTE}",
        *("-password", "-passphrase"),
    ),
    _rule(
        rf"(?<![\w.-])sshpass(?:{_BETWEEN}-[vP]\S*)?{_BETWEEN}-p{_MAYBE}{_QUOTE}{_SECRET}",
        "sshpass",
    ),
    _rule(
        r"(?<![\w-])(?:echo|printf)\s{1,4}(?:-[neE]{1,3}\s{1,4})?" + _QUOTE + _SECRET + r"[\"']?"
        r"\s{0,4}\|\s{0,4}(?:sudo\s(?:-\w+\s){0,4}-\w*S|(?:sudo\s{1,4})?chpasswd"
        r"|[^\n|]{1,200}?--(?:password-stdin|with-token|stdin)(?![\w-]))",
        *("sudo", "chpasswd", "-stdin", "-token"),
    ),
    _rule(
        r"--(?:[a-z]{1,16}-){0,3}(?:password|passwd|passphrase)=" + _QUOTE + _SECRET,
        *("password=", "passwd=", "passphrase="),
    ),
    _rule(
        rf"--(?:[a-z]{{1,16}}-){{0,3}}(?:password|passwd|passphrase){_BETWEEN}{_QUOTE}{_SECRET}",
        *("-password", "-passwd", "-passphrase"),
        likely=_is_mixed,
    ),
    _rule(
        r"(?<![\w$-])(?:(?:[A-Z][A-Z0-9_]{0,60})?(?:PASSWORD|PASSWD|PASSPHRASE)"
        r"|MYSQL_PWD|SSHPASS|REDISCLI_AUTH)=" + _QUOTE + _SECRET,
        *("password=", "passwd=", "passphrase=", "mysql_pwd=", "sshpass=", "auth="),
    ),
    _rule(
        r"--from-literal[=\s\"',]{1,4}(?i:[\w.-]{0,60}(?:passw|pwd|secret|token|key|cred)"
        r"[\w.-]{0,60})=" + _QUOTE + _SECRET,
        "--from-literal",
    ),
    _rule(  # as git asks for it, and in .properties
        r"(?m)^password=(?!\[redacted |[<{]|\$[\w{(])(?P<secret>[^\s\"'(){}\[\],]{4,})$",
        "password=",
    ),
    _rule(  # of a connection string
        r"(?i)(?<![\w-])(?:password|passwd|pwd)=(?P<secret>[^\s\"'`,;(){}\[\]<>&|$]{4,})",
        *("password=", "passwd=", "pwd="),
        likely=_is_mixed,
    ),
    _rule(
        r"(?i)aws[ _]secret[ _]access[ _]key[^\n]{0,20}?(?<![\w/+])"
        r"(?P<secret>[a-z0-9/+]{40})(?![\w/+])",
        *("aws secret", "aws_secret"),
        kind="AWS Access Key",
    ),
)

NEEDED: Final = any_of(word for rule in RULES for word in rule.need.words)
"""What a lowered text has something of if one of the rules applies; most have nothing of it."""

HEADERS: Final = (
    _rule(
        r"(?i)authorization\\{0,4}[\"']?\s{0,3}[:=]\s{0,3}\\{0,4}[\"']?"
        r"(?:bearer|basic|token|digest|apikey|bot)\s{1,3}(?!\[redacted )"
        r"(?P<secret>[\w.~+/=:-]{6,})",
        "authorization",
        kind="token",
        likely=_is_encoded,
    ),
    _rule(  # .docker/config.json, .npmrc
        r"(?:\\{0,4}\"auth\\{0,4}\":\s{0,4}\\{0,4}\"|:_auth\s{0,2}=\s{0,2}\"?)"
        r"(?P<secret>[A-Za-z0-9+/]{8,}={0,2})(?![\w+/])",
        *('"auth', ":_auth"),
        kind="token",
        likely=_is_user_and_password,
    ),
)
"""What is looked for after the tokens, which these hold."""
