"""The terminal as Textual drives it, where the first frame is on the screen already."""

from typing import Final

from textual.drivers.linux_driver import LinuxDriver

from cli.browse.first_frame import TAKEN, terminal_size

_TAKE: Final = "\x1b[?1049h"


class PickerDriver(LinuxDriver):
    """Leaves the first frame where it is, and asks the terminal that it draws on for its size:
    stdout may be a pipe."""

    def write(self, data: str) -> None:
        if data == _TAKE:
            drawn, TAKEN.drawn, TAKEN.handed_over = TAKEN.drawn, False, True
            if drawn:
                return  # it would clear the screen
        super().write(data)

    def _get_terminal_size(self) -> tuple[int, int]:
        return terminal_size()
