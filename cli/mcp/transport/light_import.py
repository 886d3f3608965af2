"""Imports the SDK in two thirds of the time, for a server that has one client on stdin and stdout.

A client starts such a server with every session, and waits for it. The SDK brings HTTP servers and
clients, which this one does not use, and builds validators for every message of every version of
the protocol, of which a session needs a dozen.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any, Final, TypeVar

_DEFERRED: Final = ("mcp", "httpx2")
"""Packages whose own module is executed when something of it is used: that of the SDK imports its
clients. Modules in them are imported as ever."""
_HIDDEN: Final = ("uvicorn", "rich")
"""Packages that the SDK does without where they are not installed: what serves HTTP, and what
colours its log."""
_AGAIN: Final = ("mcp.", "mcp_types.", "httpx2.", "sse_starlette.", "cli.mcp.")
"""What is imported a second time if another version of the SDK needs more."""
Made = TypeVar("Made")


def light_import(module: str, make: Callable[[Any], Made]) -> Made:
    """What ``make`` makes of a module of ours that imports the SDK. If that fails, it is imported
    in the usual way, and made again. Raises what the usual way raises."""
    if "mcp" in sys.modules:
        return make(import_module(module))
    try:
        with _light():
            return make(import_module(module))
    except Exception:  # noqa: BLE001 - whatever another version of the SDK does not bear
        for name in [*sys.modules]:
            if f"{name}.".startswith(_AGAIN):
                del sys.modules[name]
        return make(import_module(module))


@contextmanager
def _light() -> Iterator[None]:
    gc.disable()  # modules are no garbage, and looking for some takes a tenth of the time
    hidden = [name for name in _HIDDEN if name not in sys.modules]
    nothing: Any = None  # which stands for a module that is not installed
    sys.modules.update(dict.fromkeys(hidden, nothing))
    try:
        for name in _DEFERRED:
            _defer(name)
        with _models_built_when_used():
            yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
        gc.freeze()
        gc.enable()


@contextmanager
def _models_built_when_used() -> Iterator[None]:
    """Have each model of Pydantic that is declared meanwhile build its validator on first use."""
    from pydantic import BaseModel, ConfigDict

    usual = BaseModel.model_config
    BaseModel.model_config = ConfigDict(defer_build=True)
    try:
        yield
    finally:
        BaseModel.model_config = usual


def _defer(name: str) -> None:
    """Put a package in place, and execute its module when an attribute is missing."""
    if name in sys.modules or (spec := find_spec(name)) is None or (loader := spec.loader) is None:
        return
    module = module_from_spec(spec)

    def load(attribute: str) -> Any:
        del module.__getattr__
        loader.exec_module(module)
        return getattr(module, attribute)

    module.__getattr__ = load  # type: ignore[method-assign]
    sys.modules[name] = module
