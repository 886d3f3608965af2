"""What keys do in the list of threads."""

from cli.browse.threads.list_view import ThreadListView


class ListKeys:
    """The actions of keys that only the list needs."""

    @property
    def threads(self) -> ThreadListView:
        """The list."""
        raise NotImplementedError

    def action_up(self) -> None:
        self._move(-1)

    def action_down(self) -> None:
        self._move(1)

    def _move(self, by: int) -> None:
        self.threads.focus()
        self.threads.move(by)

    def action_page_up(self) -> None:
        self.threads.move_pages(-1)

    def action_page_down(self) -> None:
        self.threads.move_pages(1)

    def action_first(self) -> None:
        self.threads.go(0)

    def action_last(self) -> None:
        self.threads.go(self.threads.total - 1)

    def action_select(self) -> None:
        self.threads.select()

    async def action_select_all(self) -> None:
        await self.threads.select_all()

    def action_density(self) -> None:
        self.threads.set_detailed(not self.threads.detailed)
