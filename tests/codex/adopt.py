"""Takes in a new version of Codex: drives it offline through all that leaves something in a
rollout, and says what it has that the recorded version has not, and where threadkeep answers
otherwise than it does.

It takes about a minute, starts the binary some 30 times, and reaches no other machine: the model
is a server of ours. The report goes to standard output. What each line of it asks for is told in
docs/codex-versions.md.

Exit status: 0 nothing is new, 1 something is, or a scenario failed, 2 it could not begin,
130 it was interrupted.
"""

import argparse
import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.codex.client import AppServer, NoAnswer, Refused
from tests.codex.drive import PLAIN_MODEL, Drive, Failed
from tests.codex.facts import measure
from tests.codex.facts.agreement import ask, differences, unknown_methods, worded
from tests.codex.facts.known import is_known
from tests.codex.facts.record import RECORDED, Record, changes, load, section, text
from tests.codex.facts.shapes import Facts
from tests.codex.mock_model import mock_model
from tests.codex.scenarios import SCENARIOS, Scenario
from tests.protocol.compare import Difference
from tests.protocol.schemas import generate
from tests.support.command import COMMAND

_VERSION = re.compile(r"codex(?:-cli)? (\d\S*)")
_FAILURES: Final = (
    Refused,
    NoAnswer,
    Failed,
    OSError,
    subprocess.SubprocessError,
    # An answer of another shape
    LookupError,
    TypeError,
    ValueError,
)


class CannotBegin(Exception):
    """There is nothing to drive, or no place for it."""


@dataclass
class Findings:
    """What a run has found."""

    record: Record
    unequal: list[Difference]
    """Where threadkeep answers otherwise."""
    unknown: list[str]
    """The methods that threadkeep does not know."""
    failed: dict[str, str] = field(default_factory=dict)
    """What could not be done, and why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it, and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        version = version_of(options.binary)
        scenarios = chosen(options.only)
        recorded = _recorded()
        with _folder(options.keep) as folder:
            found = examine(options.binary, version, scenarios, folder)
    except CannotBegin as error:
        print(f"adopt: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("adopt: interrupted", file=sys.stderr)
        return 130
    told = report(recorded, found, partly=bool(options.only))
    print(told or f"Codex {version} has nothing that {recorded.version} has not.")
    if options.record:
        RECORDED.write_text(text(found.record), "utf-8")
        _progress(f"{version} is recorded in {RECORDED}")
        if found.failed:
            _progress("what failed is missing there: see to it, and record it again")
    return 1 if told else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.codex.adopt",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Scenarios: " + ", ".join(dict.fromkeys(one.name.split()[0] for one in SCENARIOS)),
    )
    parser.add_argument("binary", type=Path, metavar="BINARY", help="a Codex, such as codex itself")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--record", action="store_true", help="let it be the recorded version from now on"
    )
    how.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="SCENARIO",
        help="play this scenario and no other; may be given again",
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="work in this new folder, and leave it there"
    )
    return parser


def version_of(binary: Path) -> str:
    """Which Codex it is.

    Raises:
        CannotBegin: it is none
    """
    try:
        done = subprocess.run(
            [binary.absolute(), "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBegin(f"{binary} cannot be run: {error}") from error
    found = _VERSION.match(done.stdout)
    if found is None:
        said = " ".join((done.stdout or done.stderr).split())[:100]
        raise CannotBegin(f"{binary} is not a Codex: `--version` says {said!r}")
    return found[1]


def _recorded() -> Record:
    try:
        return load()
    except (OSError, LookupError, ValueError) as error:
        raise CannotBegin(f"{RECORDED} is no record: {error}; git has it") from error


def chosen(names: Sequence[str]) -> list[Scenario]:
    """The scenarios of these names, in either mode; all, if there are none.

    Raises:
        CannotBegin: there is no such scenario
    """
    known = {one.name.split()[0] for one in SCENARIOS}
    if strange := [name for name in names if name not in known]:
        raise CannotBegin(f"there is no scenario {strange[0]}; --help names them all")
    return [one for one in SCENARIOS if not names or one.name.split()[0] in names]


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """The folder to work in: an empty one."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="codex-", ignore_cleanup_errors=True) as folder:
            yield Path(folder).resolve()
        return
    try:
        keep.mkdir(parents=True)
    except OSError as error:
        raise CannotBegin(
            f"--keep {keep}: {error.strerror}; name a folder that is not there"
        ) from error
    yield keep.resolve()


def examine(binary: Path, version: str, scenarios: Sequence[Scenario], folder: Path) -> Findings:
    """Drive a Codex, and compare threadkeep with it.

    Raises:
        CannotBegin: there is no place for its home
    """
    binary = binary.absolute()
    failed: dict[str, str] = {}
    facts = {"protocol": _protocol(binary, folder, failed)}
    with mock_model(PLAIN_MODEL) as config:
        try:
            drive = Drive(binary, folder, config)
        except (OSError, subprocess.SubprocessError) as error:
            raise CannotBegin(f"no home can be made: {error}") from error
        with drive:
            _play(drive, scenarios, failed)
    facts["lines"] = measure.of_rollouts(drive.home)
    facts["files"] = measure.of_files(drive.home)
    facts["databases"] = measure.of_databases(drive.home)
    found = Findings(Record(version, facts), [], [], failed)
    _compare(drive, folder, found)
    facts["answers"] = drive.answers
    return found


def _protocol(binary: Path, folder: Path, failed: dict[str, str]) -> Facts:
    stable, experimental = folder / "schemas", folder / "schemas-experimental"
    try:
        generate(str(binary), stable)
        generate(str(binary), experimental, "--experimental")
        return measure.of_protocol(stable, experimental)
    except _FAILURES as error:
        failed["generate-json-schema"] = _why(error)
        return {}


def _play(drive: Drive, scenarios: Sequence[Scenario], failed: dict[str, str]) -> None:
    """Play the scenarios; those that fail are told, and the next one goes on in a new process."""
    for number, scenario in enumerate(scenarios, 1):
        began = time.monotonic()
        try:
            scenario.play(drive)
            end = ""
        except _FAILURES as error:
            failed[scenario.name] = _why(error)
            end = f": failed: {_why(error)}"
            drive.kill()
        drive.name_threads(scenario.name)
        took = time.monotonic() - began
        _progress(f"[{number}/{len(scenarios)}] {scenario.name} {took:.1f} s{end}")


def _compare(drive: Drive, folder: Path, findings: Findings) -> None:
    """Find where threadkeep answers otherwise about the home that was driven."""
    kept = drive.home.rename(folder / "driven")
    ours = drive.environment | {"THREADKEEP_DB": str(folder / "index.sqlite3")}

    def restore() -> None:
        """Put the home back, for there are paths in it."""
        shutil.rmtree(drive.home, ignore_errors=True)
        shutil.copytree(kept, drive.home, symlinks=True)

    _progress(f"asking both about {len(drive.threads)} threads")
    try:
        restore()
        with drive.server as server:
            expected = ask(server, drive.threads)
        restore()
        subprocess.run([*COMMAND, "backfill"], env=ours, check=True, capture_output=True)
        with AppServer([*COMMAND, "app-server"], drive.work, ours) as server:
            found = ask(server, drive.threads)
            types = findings.record.facts["protocol"]
            methods = re.findall(r"(?m)^ClientRequest\[(.+)\]$", "\n".join(types))
            findings.unknown = unknown_methods(server, methods)
        findings.unequal = list(differences(expected, found, drive.threads))
    except _FAILURES as error:
        findings.failed["comparing the answers"] = _why(error)


def report(recorded: Record, found: Findings, *, partly: bool) -> str:
    """What is new, for people; nothing, if nothing is."""
    new = found.record
    parts = [changes(recorded, new, partly=partly)]
    if unequal := worded(one for one in found.unequal if not is_known(one)):
        title = "threadkeep answers otherwise (besides what docs/differences.md tells)"
        parts.append(section(title, unequal))
    if found.unknown:
        parts.append(section("Methods that threadkeep does not know", found.unknown))
    if found.failed:
        parts.append(section("Failed", (f"{name}: {why}" for name, why in found.failed.items())))
    told = "\n\n".join(filter(None, parts))
    return told and f"Codex {new.version}, against the recorded {recorded.version}\n\n{told}"


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
