"""The suggestion behind the cursor: what the filter that is being typed may be."""

from collections.abc import Callable

from textual.suggester import Suggester

from cli.browse.words.filter import Known, completed, completions


class FilterSuggester(Suggester):
    """Suggests the first completion of the filter at the end of the text."""

    def __init__(self, known: Callable[[], Known]) -> None:
        """``known`` gives what the index has, as far as that is known by now."""
        super().__init__(use_cache=False, case_sensitive=True)
        self._known = known

    async def get_suggestion(self, value: str) -> str | None:
        end = len(value)
        for token in completions(value, end, self._known()):
            text = completed(value, end, token)
            if text.casefold().startswith(value.casefold()) and len(text) > end:
                return text
        return None
