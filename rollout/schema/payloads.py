"""Lenient pydantic models of the payloads that the index needs (docs/rollout-format.md#lines).

Unknown fields are kept in ``model_extra``; every field is optional, as one era requires what
another lacks. :func:`read_payload` drops a field of the wrong type and keeps the others, where
Codex drops the whole line.
"""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Lenient(BaseModel):
    """Base: unknown fields survive, values do not change."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Git(Lenient):
    """``session_meta.git``."""

    commit_hash: str | None = None
    branch: str | None = None
    repository_url: str | None = None


class SessionMeta(Lenient):
    """Payload of ``session_meta``: identity and settings at creation."""

    id: str | None = None
    session_id: str | None = None
    timestamp: str | None = None
    cwd: str | None = None
    originator: str | None = None
    cli_version: str | None = None
    source: str | dict[str, Any] | None = None
    thread_source: str | None = None
    model_provider: str | None = None
    git: Git | None = None
    agent_nickname: str | None = None
    agent_role: str | None = None
    agent_type: str | None = None
    """Read alias of ``agent_role``."""
    agent_path: str | None = None
    memory_mode: str | None = None
    forked_from_id: str | None = None
    parent_thread_id: str | None = None
    attached_thread: bool | None = None
    history_mode: Any = None
    """Any value: an unknown one is kept, never taken for legacy."""
    history_base: dict[str, Any] | None = None
    dynamic_tools: list[Any] | None = None


class TurnContext(Lenient):
    """Payload of ``turn_context``; ``sandbox_policy`` has ``mode`` up to 0.57."""

    cwd: str | None = None
    model: str | None = None
    effort: str | None = None
    approval_policy: str | dict[str, Any] | None = None
    permission_profile: dict[str, Any] | None = None
    sandbox_policy: dict[str, Any] | None = None


class ThreadSettings(Lenient):
    """``thread_settings`` of ``thread_settings_applied``."""

    cwd: str | None = None
    model: str | None = None
    model_provider_id: str | None = None
    reasoning_effort: str | None = None
    approval_policy: str | dict[str, Any] | None = None
    permission_profile: dict[str, Any] | None = None
    sandbox_policy: dict[str, Any] | None = None


class UserMessage(Lenient):
    """Event ``user_message``."""

    message: str | None = None
    images: list[Any] | None = None
    local_images: list[Any] | None = None
    audio: list[Any] | None = None
    local_audio: list[Any] | None = None


class ContentPart(Lenient):
    """One part of a TurnItem's or response item's content."""

    type: str = ""
    text: str | None = None


class TurnItem(Lenient):
    """``item`` of ``item_completed``: only what previews need."""

    type: str = ""
    content: list[ContentPart] | None = None


class NameUpdate(Lenient):
    """Event ``thread_name_updated``."""

    thread_id: str | None = None
    thread_name: str | None = None


class Goal(Lenient):
    """``goal`` of ``thread_goal_updated``."""

    objective: str | None = None


class TokenUsage(Lenient):
    """``info.total_token_usage`` of ``token_count``; damaged files have floats and strings."""

    total_tokens: int | float | None = None


class TokenInfo(Lenient):
    """``info`` of ``token_count``."""

    total_token_usage: TokenUsage | None = None


class ResponseMessage(Lenient):
    """A response item that is a ``message``, or a bare line of the first era."""

    type: str = ""
    role: str = ""
    content: list[ContentPart] | None = None


class DynamicTool(Lenient):
    """One entry of ``session_meta.dynamic_tools``; a namespace holds its tools in ``tools``."""

    type: str = "function"
    name: str | None = None
    namespace: str | None = None
    description: str | None = None
    input_schema: Any = Field(default=None, alias="inputSchema")
    defer_loading: bool | None = Field(default=None, alias="deferLoading")
    tools: list[Any] | None = None


Model = TypeVar("Model", bound=Lenient)


def read_payload(model: type[Model], payload: object) -> Model | None:
    """``payload`` as a ``model``, without the fields, at any depth, whose type is wrong; None if it
    is no object."""
    if not isinstance(payload, dict):
        return None
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        wrong = [detail["loc"] for detail in error.errors(include_input=False)]
    for place in wrong:
        payload = _without(payload, place)
    return model.model_validate(payload)


def _without(value: Any, place: tuple[int | str, ...]) -> Any:
    """A copy of ``value`` without what is at ``place``, as far as that path exists."""
    if not place:
        return value
    first, rest = place[0], place[1:]
    if isinstance(value, dict) and first in value:
        child = value[first]
        if rest and _leads(child, rest[0]):
            return {**value, first: _without(child, rest)}
        return {key: item for key, item in value.items() if key != first}
    if isinstance(value, list) and isinstance(first, int) and first < len(value):
        deeper = rest and _leads(value[first], rest[0])
        child = _without(value[first], rest) if deeper else {}
        return [*value[:first], child, *value[first + 1 :]]
    return value


def _leads(value: Any, key: int | str) -> bool:
    if isinstance(value, dict):
        return key in value
    return isinstance(value, list) and isinstance(key, int) and key < len(value)
