"""What the errors of PostgreSQL, of PgBouncer and of libpq mean for a fleet."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from state import errors

if TYPE_CHECKING:
    import psycopg

_BY_STATE: Final[dict[str, type[errors.FleetError]]] = {
    "25006": errors.FleetReadOnly,
    "25P03": errors.FleetLost,
    "28": errors.FleetLoginRefused,
    "3D000": errors.FleetDatabaseMissing,
    "40": errors.FleetBusy,
    "42501": errors.FleetDenied,
    "53100": errors.FleetFull,
    "53300": errors.FleetBusy,
    "55P03": errors.FleetHeld,
    "57014": errors.FleetBusy,
    "57P": errors.FleetLost,
}
"""By SQLSTATE, or by what it begins with."""
_CONNECTING: Final = re.compile(
    r"connection failed|connection is bad|connection timeout|failed to resolve host"
)
_BY_TEXT: Final[tuple[tuple[str, type[errors.FleetError]], ...]] = (
    (r"is not permitted to log in", errors.FleetLoginRevoked),
    (r"database .* does not exist|no such database", errors.FleetDatabaseMissing),
    (
        r"certificate|private key|\balert unknown ca\b|server does not support SSL",
        errors.FleetCertificateRefused,
    ),
    (
        r"authentication failed|password supplied|no pg_hba.conf entry|role .* does not exist"
        r"|no such user|permission denied for database",
        errors.FleetLoginRefused,
    ),
    (
        r"too many (clients|connections)|remaining connection slots|no more connections"
        r"|query_wait_timeout|connection limit",
        errors.FleetBusy,
    ),
    (r"read-only|hot standby|standby mode", errors.FleetReadOnly),
    (
        r"invalid (port|\w+ value|integer)|definition of service|service file",
        errors.FleetAddressInvalid,
    ),
)
"""What a server says before it lets somebody in comes without SQLSTATE. One that speaks another
language is only told to be unreachable, in its own words."""
_FRONT: Final = re.compile(r"^connection (failed|is bad): |fe_sendauth: ")
_SERVER_SAYS: Final = re.compile(r"\b(?:FATAL|ERROR):\s+")


@contextmanager
def translated() -> Iterator[None]:
    """Raise the errors of a fleet for those of psycopg.

    Raises:
        FleetDriverMissing: psycopg cannot be imported.
        FleetError: of a class that says what to do.
    """
    check_driver()
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise failure(error) from error


def check_driver() -> None:
    """Raises FleetDriverMissing if psycopg cannot be imported: it is an extra, or its library for
    PostgreSQL is missing."""
    try:
        import psycopg
    except ImportError:
        raise errors.FleetDriverMissing from None
    # Of a connection that is lost it logs what we say in an error, with more than users understand.
    logging.getLogger(psycopg.__name__).setLevel(logging.CRITICAL)


def failure(error: "psycopg.Error") -> errors.FleetError:
    """What an error of psycopg is called here."""
    text = " ".join((str(error).splitlines() or [type(error).__name__])[0].split())
    state = error.sqlstate or ""
    if state.startswith("08"):  # which PgBouncer gives to all that it says
        state = ""
    for length in (5, 3, 2):
        if (kind := _BY_STATE.get(state[:length])) and len(state) >= length:
            return kind(text)
    if state:
        return errors.FleetFailed(f"{text} ({state})")
    for pattern, kind in _BY_TEXT:
        if re.search(pattern, text):
            return kind(_FRONT.sub("", _SERVER_SAYS.split(text)[-1]))
    kind = errors.FleetUnavailable if _CONNECTING.match(text) else errors.FleetLost
    return kind(_FRONT.sub("", text))
