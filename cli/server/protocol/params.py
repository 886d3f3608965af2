"""Parameters of the methods, by their names in the protocol; unknown fields are ignored."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from cli.server.protocol.messages import Request, invalid_request
from cli.server.protocol.serde_wording import invalid_params
from rollout.schema import session_source

U32 = Annotated[int, Field(ge=0, lt=2**32)]
SourceKind = Annotated[
    session_source.SourceKind,
    BeforeValidator(lambda kind: "appServer" if kind == "mcp" else kind),
]


class Params(BaseModel):
    """Base: camelCase names, no conversion of types."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, strict=True, extra="ignore", frozen=True
    )


ParamsType = TypeVar("ParamsType", bound=Params)


def parse_params(request: Request, kind: type[ParamsType]) -> ParamsType:
    """The parameters of a request.

    Raises:
        Fault: they are none of that kind.
    """
    if request.params is None:
        raise invalid_request("Invalid request: missing field `params`", "invalid_params")
    try:
        return kind.model_validate(request.params)
    except ValidationError as error:
        raise invalid_request(invalid_params(error), "invalid_params") from None


class ClientInfo(Params):
    """Who asks."""

    name: str
    title: str | None = None
    version: str


class InitializeCapabilities(Params):
    """What the client wants to be served."""

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
    use_state_db_only: bool = False
    excluded_thread_ids: list[str] | None = None
    included_thread_ids: list[str] | None = None
    originators: list[str] | None = None
    section_id: str | None = None
    project_id: str | None = None
    parent_thread_id: str | None = None
    ancestor_thread_id: str | None = None


class ThreadParams(Params):
    """Methods that name a thread."""

    thread_id: str


class ThreadArchiveParams(ThreadParams):
    """``thread/archive``."""


class ThreadUnarchiveParams(ThreadParams):
    """``thread/unarchive``."""


class ThreadDeleteParams(ThreadParams):
    """``thread/delete``."""


class ThreadUnsubscribeParams(ThreadParams):
    """``thread/unsubscribe``."""


class ThreadReadParams(ThreadParams):
    """``thread/read``."""

    include_turns: bool = False


class ThreadResumeInitialTurnsPageParams(Params):
    """Which turns: ``initialTurnsPage`` of ``thread/resume``."""

    limit: U32 | None = None
    sort_direction: Literal["asc", "desc"] | None = None
    items_view: Literal["notLoaded", "summary", "full"] | None = None


class ThreadTurnsListParams(ThreadResumeInitialTurnsPageParams):
    """``thread/turns/list``."""

    thread_id: str
    cursor: str | None = None


class ThreadItemsCursorAnchor(Params):
    """An item of a turn, to begin a page behind."""

    type: Literal["item"]
    item_id: str


class ThreadItemOutputDeferral(Params):
    """Which outputs of a turn's items are left out."""

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


class ThreadLoadedListParams(Params):
    """``thread/loaded/list``."""

    cursor: str | None = None
    limit: U32 | None = None


class ModelSettings(Params):
    """What is said of a model when a thread is started, resumed or forked: given back, not used."""

    approval_policy: Any = None
    approvals_reviewer: str | None = None
    sandbox: Literal["read-only", "workspace-write", "danger-full-access"] | None = None
    model: str | None = None
    model_provider: str | None = None
    service_tier: str | None = None
    cwd: str | None = None
    base_instructions: str | None = None
    exclude_turns: bool = False


class ThreadStartParams(ModelSettings):
    """``thread/start``."""

    history_mode: Literal["legacy", "paginated"] | None = None
    ephemeral: bool | None = None
    dynamic_tools: list[dict[str, Any]] | None = None
    thread_source: str | None = None


class ThreadResumeParams(ModelSettings):
    """``thread/resume``."""

    thread_id: str
    path: str | None = None
    history: list[Any] | None = None
    initial_turns_page: ThreadResumeInitialTurnsPageParams | None = None


class ThreadForkParams(ModelSettings):
    """``thread/fork``."""

    thread_id: str
    path: str | None = None
    last_turn_id: str | None = None
    before_turn_id: str | None = None
    ephemeral: bool = False
    thread_source: str | None = None


class ThreadSetNameParams(ThreadParams):
    """``thread/name/set``."""

    name: str


class ThreadMetadataGitInfoUpdateParams(Params):
    """The git facts to change: what is not named stays, null takes one out."""

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
