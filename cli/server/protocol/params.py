"""The parameters of the methods, named as in Codex's schemas; unknown fields are ignored.

Fields under "No effect" are only validated: as Codex, the server refuses a wrong type.
"""

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic.alias_generators import to_camel

from cli.server.protocol.messages import Request, invalid_request
from cli.server.protocol.serde_wording import invalid_params
from rollout.schema import session_source

U32 = Annotated[int, Field(ge=0, lt=2**32)]
U64 = Annotated[int, Field(ge=0, lt=2**64)]
Personality = Literal["none", "friendly", "pragmatic"]
SourceKind = Annotated[
    session_source.SourceKind, BeforeValidator(lambda kind: "appServer" if kind == "mcp" else kind)
]

CHANGES: Final = frozenset(
    {
        *("thread/resume", "thread/fork", "thread/inject_items", "thread/name/set"),
        *("thread/metadata/update", "thread/memoryMode/set", "thread/archive"),
        *("thread/unarchive", "thread/delete"),
    }
)
"""Methods that change a thread, or make it live. Those of one client for one thread are carried out
in the order in which they come."""
_NO_SEQUENCE: Final = ("InitializeCapabilities", "ThreadMetadataGitInfoUpdateParams")
"""Types for which Codex accepts no sequence."""


class Params(BaseModel):
    """Base class: camelCase names, no conversion of types."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, strict=True, extra="ignore", frozen=True
    )


ParamsType = TypeVar("ParamsType", bound=Params)


def parse_params(request: Request, kind: type[ParamsType]) -> ParamsType:
    """Validate the parameters of a request. Raises RpcError if they are invalid."""
    if request.params is None:
        raise invalid_request("Invalid request: missing field `params`", "invalid_params")
    try:
        return kind.model_validate(request.params)
    except ValidationError as error:
        raise invalid_request(invalid_params(error, _length), "invalid_params") from None


def _length(name: str) -> int:
    """How many fields Codex has in a type; 0 if it accepts no sequence for it."""
    kind = globals().get(name)
    if kind is None or name in _NO_SEQUENCE:
        return 0
    return len(kind.model_fields)


class ClientInfo(Params):
    """The client's program."""

    name: str
    version: str
    # No effect:
    title: str | None = None


class InitializeCapabilities(Params):
    """What the client supports and wants."""

    experimental_api: bool = False
    opt_out_notification_methods: list[str] | None = None


class InitializeParams(Params):
    """``initialize``."""

    client_info: ClientInfo
    capabilities: InitializeCapabilities | None = None


class ThreadListParams(Params):
    """``thread/list``."""

    cursor: str | None = None
    limit: U32 | None = None
    sort_key: Literal["created_at", "updated_at", "recency_at", "section_position"] | None = None
    sort_direction: Literal["asc", "desc"] | None = None
    model_providers: list[str] | None = None
    source_kinds: list[SourceKind] | None = None
    archived: bool | None = None
    cwd: str | list[str] | None = None
    search_term: str | None = None
    excluded_thread_ids: list[str] | None = None
    included_thread_ids: list[str] | None = None
    originators: list[str] | None = None
    section_id: str | None = None
    project_id: str | None = None
    parent_thread_id: str | None = None
    ancestor_thread_id: str | None = None
    # No effect:
    attached_to_thread_id: str | None = None
    current_account_only: bool = False
    include_attached_threads: bool = False
    use_state_db_only: bool = False


class ThreadParams(Params):
    """Parameters of a method that names a thread."""

    thread_id: str


# Codex names the type in its errors.
ThreadArchiveParams = create_model("ThreadArchiveParams", __base__=ThreadParams)
ThreadUnarchiveParams = create_model("ThreadUnarchiveParams", __base__=ThreadParams)
ThreadDeleteParams = create_model("ThreadDeleteParams", __base__=ThreadParams)
ThreadUnsubscribeParams = create_model("ThreadUnsubscribeParams", __base__=ThreadParams)


class ThreadReadParams(ThreadParams):
    """``thread/read``."""

    include_turns: bool = False


class ThreadResumeInitialTurnsPageParams(Params):
    """A page of turns: ``initialTurnsPage`` of ``thread/resume``."""

    limit: U32 | None = None
    sort_direction: Literal["asc", "desc"] | None = None
    items_view: Literal["notLoaded", "summary", "full"] | None = None


class ThreadTurnsListParams(ThreadResumeInitialTurnsPageParams):
    """``thread/turns/list``."""

    thread_id: str
    cursor: str | None = None


class ThreadItemsCursorAnchor(Params):
    """The item after which a page begins."""

    type: Literal["item"]
    item_id: str


class ThreadItemOutputDeferral(Params):
    """The kinds of output that are left out."""

    command_execution: bool | None = None
    mcp_tool_call: bool | None = None


class ThreadItemsListParams(ThreadParams):
    """``thread/items/list``."""

    turn_id: str | None = None
    cursor: str | ThreadItemsCursorAnchor | None = None
    limit: U32 | None = None
    sort_direction: Literal["asc", "desc"] | None = None
    defer_output: ThreadItemOutputDeferral | None = None


class ThreadItemsReadParams(ThreadParams):
    """``thread/items/read``."""

    turn_id: str
    item_ids: list[str]


class ThreadSearchParams(Params):
    """``thread/search``."""

    search_term: str
    cursor: str | None = None
    limit: U32 | None = None
    sort_key: Literal["created_at", "updated_at", "recency_at"] | None = None
    sort_direction: Literal["asc", "desc"] | None = None
    source_kinds: list[SourceKind] | None = None
    archived: bool | None = None
    include_attached_threads: bool = False
    # No effect:
    current_account_only: bool = False


class ThreadSearchCancelParams(Params):
    """``thread/search/cancel``, ``thread/search/stream/cancel``."""

    request_id: int | str


class ThreadSearchOccurrencesParams(ThreadParams):
    """``thread/searchOccurrences``."""

    search_term: str
    cursor: str | None = None
    limit: U32 | None = None


class ThreadRealtimeListParams(ThreadParams):
    """``thread/realtime/list``."""

    session_id: str | None = None
    from_observed_at_ms: int | None = None
    to_observed_at_ms: int | None = None
    order: Literal["observedAt", "position"] | None = None
    after_position: U64 | None = None
    event_id: str | None = None
    cursor: str | None = None
    limit: U32 | None = None
    snapshot_end: U64 | None = None
    required_through_position: U64 | None = None


class ThreadLoadedListParams(Params):
    """``thread/loaded/list``."""

    cursor: str | None = None
    limit: U32 | None = None


class ModelSettings(Params):
    """Settings with which a thread is started, resumed or forked: sent back, not used."""

    approval_policy: Any = None
    approvals_reviewer: str | None = None
    sandbox: Literal["read-only", "workspace-write", "danger-full-access"] | None = None
    model: str | None = None
    model_provider: str | None = None
    service_tier: str | None = None
    cwd: str | None = None
    base_instructions: str | None = None
    # No effect:
    config: dict[str, Any] | None = None
    developer_instructions: str | None = None
    permissions: str | None = None
    runtime_workspace_roots: list[Any] | None = None


class ThreadStartParams(ModelSettings):
    """``thread/start``."""

    history_mode: Literal["legacy", "paginated"] | None = None
    ephemeral: bool | None = None
    dynamic_tools: list[dict[str, Any]] | None = None
    thread_source: str | None = None
    # No effect:
    allow_provider_model_fallback: bool = False
    daybreak_enabled: bool | None = None
    environments: list[Any] | None = None
    experimental_raw_events: bool = False
    mock_experimental_field: str | None = None
    multi_agent_mode: Literal["none", "custom", "explicitRequestOnly", "proactive"] | None = None
    personality: Personality | None = None
    project_id: str | None = None
    selected_capability_roots: list[Any] | None = None
    service_name: str | None = None
    session_start_source: Literal["startup", "clear"] | None = None


class ThreadResumeParams(ModelSettings):
    """``thread/resume``."""

    thread_id: str
    path: str | None = None
    history: list[Any] | None = None
    initial_turns_page: ThreadResumeInitialTurnsPageParams | None = None
    exclude_turns: bool = False
    # No effect:
    personality: Personality | None = None


class ThreadForkParams(ModelSettings):
    """``thread/fork``."""

    thread_id: str
    path: str | None = None
    last_turn_id: str | None = None
    before_turn_id: str | None = None
    ephemeral: bool = False
    exclude_turns: bool = False
    thread_source: str | None = None
    # No effect:
    attach_to_source: bool = False
    defer_goal_continuation: bool = False
    experimental_disable_prediction_mcp: bool = False
    experimental_prediction_mode: bool = False


class ThreadSetNameParams(ThreadParams):
    """``thread/name/set``."""

    name: str


class ThreadMetadataGitInfoUpdateParams(Params):
    """The git values to change: those not named stay, null removes one."""

    sha: str | None = None
    branch: str | None = None
    origin_url: str | None = None


class ThreadMetadataUpdateParams(ThreadParams):
    """``thread/metadata/update``."""

    git_info: ThreadMetadataGitInfoUpdateParams | None = None
    project_id: str | None = None
    daybreak_enabled: bool | None = None


class ThreadMemoryModeSetParams(ThreadParams):
    """``thread/memoryMode/set``."""

    mode: Literal["enabled", "disabled"]


class ThreadInjectItemsParams(ThreadParams):
    """``thread/inject_items``."""

    items: list[Any]
