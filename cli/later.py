"""Modules that Typer and the standard library import, of which most commands use nothing.

Loading them takes longer than all else that a short command does. So while the program is loaded,
others stand in for them, which load the real one when something of it is used.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, Final

_NAMES: Final = (
    *("difflib", "gettext", "linecache", "platform", "shellingham", "shutil", "subprocess"),
    *("tokenize", "traceback", "typer.completion", "urllib.parse", "uuid"),
)


class _Standin(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        # A module that is being loaded takes functions from others, and calls them later.
        return self._function(name) if self._stands_in() else getattr(self._real(), name)

    def _function(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: getattr(self._real(), name)(*args, **kwargs)

    def _stands_in(self) -> bool:
        return sys.modules.get(self.__name__) is self

    def _real(self) -> ModuleType:
        if self._stands_in():
            del sys.modules[self.__name__]
        return import_module(self.__name__)


@contextmanager
def later(names: Iterable[str] = _NAMES) -> Iterator[None]:
    """Let others stand in for modules that are not loaded yet."""
    standins = {name: _Standin(name) for name in names if name not in sys.modules}
    sys.modules.update(standins)
    try:
        yield
    finally:
        for name, standin in standins.items():
            if sys.modules.get(name) is standin:
                del sys.modules[name]
