"""Copies of threads of many machines, for machines that push and readers who read."""

from alembic import op

from migrations.fleet.f0001_push import FIXED_PATH, functions
from migrations.fleet.f0001_reading import MARKS, OF_THREAD, views
from migrations.fleet.f0001_removal import NAMES as OF_REMOVAL
from migrations.fleet.f0001_removal import REMOVAL

revision = "f0001"
down_revision = None

PARTITIONS = 8
THREADS = """
    id text, rollout_path text, created_at_ms bigint, updated_at_ms bigint, recency_at_ms bigint,
    source text, source_kind text, thread_source text?, originator text?, model_provider text,
    model text?, reasoning_effort text?, cwd text, cwd_key text, title text, name text?, preview text,
    fallback_preview text, first_user_message text, search_text text, sandbox_policy text,
    approval_mode text, tokens_used bigint, archived bigint, archived_at bigint?, git_sha text?,
    git_branch text?, git_origin_url text?, cli_version text, agent_nickname text?, agent_role text?,
    agent_path text?, memory_mode text, history_mode text, session_id text?, forked_from_id text?,
    parent_thread_id text?, attached_thread_parent_id text?, history_base text?, size_bytes bigint,
    mtime_ns bigint, flags bigint, facet text
"""
"""The columns that the index of each machine has, too; with a question mark those that may be null."""
COLUMNS = [(name, kind) for name, kind in (each.split() for each in THREADS.split(","))]
NAMES = [name for name, _ in COLUMNS]
FACET = (
    "(archived::text || CASE WHEN preview = '' AND fallback_preview = '' AND name IS NULL"
    " THEN '1' ELSE '0' END || CASE WHEN attached_thread_parent_id IS NULL THEN '0' ELSE '1' END"
    " || '|' || source_kind || '|' || model_provider)"
)
USAGE = ["input", "cached_input", "cache_write", "output", "reasoning", "total", "responses"]
FIRST_HOUR, LAST_HOUR = -17_259_888, 70_389_527
"""Of the years 1 to 9999, in whole hours since 1970."""
LIVE = "machine_id, revision, epoch, deleted, level, pushed_at, spawned_by"


def _declared(columns: str) -> str:
    declared = []
    for each in columns.split(","):
        name, kind = each.split()
        needed = "" if kind.endswith("?") else " NOT NULL"
        collation = ' COLLATE "C"' if kind.startswith("text") else ""
        declared.append(f"{name} {kind.rstrip('?')}{collation}{needed}")
    return ", ".join(declared)


TEXT = 'text COLLATE "C"'
MOST = 10**15
"""No count of what an honest index has is greater. Sums of so many rows as there are stay exact."""
IS_MONTH = "CHECK (month BETWEEN '0001-01-01' AND '9999-12-01' AND extract(day FROM month) = 1)"
# Python, which administrators read them with, knows no other times.
IS_TIME = "CHECK (pushed_at BETWEEN '2000-01-01 00:00+00' AND '9999-12-01 00:00+00')"
IS_LEVEL = "level IN ('metadata', 'text', 'raw')"


def _counts(*names: str) -> str:
    return ", ".join(f"CHECK ({name} BETWEEN 0 AND {MOST})" for name in names)


# A key that others' rows could collide with would tell of them, so each begins with whose it is.
TABLES = (
    f"CREATE TABLE tenants (tenant_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name {TEXT} NOT NULL UNIQUE)",
    f"""
    CREATE TABLE machines (
        machine_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant_id integer NOT NULL REFERENCES tenants,
        name {TEXT} NOT NULL, user_name {TEXT} NOT NULL DEFAULT '', role_name {TEXT} NOT NULL UNIQUE,
        created_at timestamptz NOT NULL DEFAULT now(), revoked_at timestamptz,
        epoch bigint NOT NULL DEFAULT 0, epoch_key {TEXT} NOT NULL DEFAULT '', host {TEXT} NOT NULL DEFAULT '',
        former_key {TEXT} NOT NULL DEFAULT '', former_sequence bigint NOT NULL DEFAULT 0, sequence bigint NOT NULL DEFAULT 0, pushed_at timestamptz, level {TEXT} NOT NULL DEFAULT '',
        version {TEXT} NOT NULL DEFAULT '', pending bigint NOT NULL DEFAULT 0,
        UNIQUE (tenant_id, name),
        {IS_TIME}, CHECK (level = '' OR {IS_LEVEL}), {_counts("epoch", "former_sequence", "sequence", "pending")},
        CHECK (length(version) <= 200), CHECK (length(host) <= 10000),
        CHECK (length(epoch_key) <= 200 AND length(former_key) <= 200)
    )
    """,
    f"""
    CREATE TABLE logins (
        role_name {TEXT} PRIMARY KEY, tenant_id integer NOT NULL REFERENCES tenants,
        machine_id integer REFERENCES machines, reads boolean NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(), revoked_at timestamptz
    )
    """,
    "CREATE SEQUENCE row_ids",
    f"""
    CREATE TABLE threads (
        tenant_id integer NOT NULL, machine_id integer NOT NULL,
        row_id bigint NOT NULL DEFAULT nextval('threadkeep.row_ids'), {_declared(THREADS)},
        spawned_by {TEXT}, epoch bigint NOT NULL, revision bigint NOT NULL,
        newest boolean NOT NULL DEFAULT false, deleted boolean NOT NULL DEFAULT false,
        level {TEXT} NOT NULL, pushed_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, id, machine_id),
        UNIQUE (tenant_id, row_id, machine_id),
        CHECK (facet = {FACET}), CHECK (archived IN (0, 1)), CHECK (NOT (newest AND deleted)),
        CHECK (id ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'), CHECK ({IS_LEVEL}),
        {_counts("tokens_used", "size_bytes", "epoch", "revision")}
    ) PARTITION BY HASH (tenant_id)
    """,
    f"""
    CREATE TABLE user_data (
        tenant_id integer NOT NULL, machine_id integer NOT NULL, {_declared("thread_id text, key text, value text?, set_at_ms bigint")},
        {_declared(OF_THREAD)},
        PRIMARY KEY (tenant_id, thread_id, machine_id, key)
    ) PARTITION BY HASH (tenant_id)
    """,
    f"""
    CREATE TABLE thread_usage (
        tenant_id integer NOT NULL, machine_id integer NOT NULL, row_id bigint NOT NULL, hour bigint NOT NULL,
        {_declared("model text, provider text, effort text, service_tier text, long_context bigint")},
        {_declared(", ".join(f"{name} bigint" for name in USAGE))},
        PRIMARY KEY (tenant_id, row_id, machine_id, hour, model, provider, effort, service_tier, long_context),
        CHECK (hour BETWEEN {FIRST_HOUR} AND {LAST_HOUR}), CHECK (long_context IN (0, 1)), {_counts(*USAGE)}
    ) PARTITION BY HASH (tenant_id)
    """,
    f"""
    CREATE TABLE thread_limits (
        tenant_id integer NOT NULL, machine_id integer NOT NULL, row_id bigint NOT NULL,
        at_ms bigint NOT NULL, value {TEXT} NOT NULL,
        PRIMARY KEY (tenant_id, row_id, machine_id)
    ) PARTITION BY HASH (tenant_id)
    """,
    f"""
    CREATE TABLE documents (
        month date NOT NULL, tenant_id integer NOT NULL, machine_id integer NOT NULL,
        row_id bigint NOT NULL, position integer NOT NULL,
        text {TEXT} NOT NULL, messages bytea NOT NULL, digest {TEXT} NOT NULL,
        PRIMARY KEY (tenant_id, row_id, machine_id, position, month),
        {IS_MONTH}
    ) PARTITION BY RANGE (month)
    """,
    f"""
    CREATE TABLE pieces (
        month date NOT NULL, tenant_id integer NOT NULL, machine_id integer NOT NULL,
        digest bytea NOT NULL, size integer NOT NULL, data bytea NOT NULL,
        PRIMARY KEY (month, tenant_id, machine_id, digest),
        {IS_MONTH}
    ) PARTITION BY RANGE (month)
    """,
    "ALTER TABLE pieces ALTER data SET STORAGE EXTERNAL",  # it is compressed already
    f"""
    CREATE TABLE rollouts (
        tenant_id integer NOT NULL, machine_id integer NOT NULL, path {TEXT} NOT NULL,
        thread_id {TEXT} NOT NULL, month date NOT NULL, size_bytes bigint NOT NULL,
        mtime_ns bigint NOT NULL, pieces bytea NOT NULL,
        PRIMARY KEY (tenant_id, machine_id, path),
        {IS_MONTH}
    )
    """,
    "CREATE INDEX ON rollouts (tenant_id, thread_id)",
    "CREATE UNIQUE INDEX ON threads (tenant_id, id) WHERE newest",
    # What many filters ask of each row of a walk is in the index: to look at the row takes five times as long.
    *(
        f"CREATE INDEX ON threads (tenant_id, facet, {key}, id)"
        " INCLUDE (row_id, machine_id, model, tokens_used, size_bytes) WHERE newest"
        for key in ("recency_at_ms", "updated_at_ms", "created_at_ms")
    ),
    # Those that filters choose come in the usual order; into another one they are sorted, from the
    # index alone.
    "CREATE INDEX ON threads (tenant_id, machine_id, facet, recency_at_ms, id)"
    " INCLUDE (created_at_ms, updated_at_ms, row_id, newest, deleted)",
    *(
        f"CREATE INDEX ON threads (tenant_id, {column}, facet, recency_at_ms, id)"
        " INCLUDE (created_at_ms, updated_at_ms, row_id) WHERE newest"
        for column in ("cwd_key", "model", "git_branch")
    ),
    *(
        f"CREATE INDEX ON threads (tenant_id, {column})"
        " INCLUDE (facet, recency_at_ms, created_at_ms, updated_at_ms, id, row_id) WHERE newest"
        for column in ("tokens_used", "size_bytes")
    ),
    # A name may be longer than a B-tree takes. One without the tenant would tell in plans of what others have named.
    "CREATE INDEX ON threads (tenant_id, md5(name)) WHERE newest AND name IS NOT NULL",
    "CREATE INDEX ON threads (tenant_id, spawned_by) WHERE spawned_by IS NOT NULL",
    "CREATE INDEX ON threads (tenant_id, coalesce(parent_thread_id, forked_from_id), created_at_ms, id)"
    " WHERE coalesce(parent_thread_id, forked_from_id) IS NOT NULL",
    "CREATE INDEX ON threads USING gin (search_text gin_trgm_ops) WITH (fastupdate = on, gin_pending_list_limit = 1024)",
    *(
        f"CREATE TABLE {table}_{number} PARTITION OF {table} FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
        for table in ("threads", "user_data", "thread_usage", "thread_limits")
        for number in range(PARTITIONS)
    ),
    *(
        f"CREATE TABLE {table}_other PARTITION OF {table} DEFAULT"
        for table in ("documents", "pieces")
    ),
)

FUNCTIONS = (
    # Of this one and of all later migrations.
    "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
    # A function in SQL would be planned anew in each statement that asks: 80 us instead of 50.
    f"""
    CREATE FUNCTION my_tenant() RETURNS integer LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED {FIXED_PATH} AS
    $$ BEGIN RETURN (SELECT tenant_id FROM threadkeep.logins WHERE role_name = session_user AND revoked_at IS NULL); END $$
    """,
    f"""
    CREATE FUNCTION my_machine() RETURNS integer LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED {FIXED_PATH} AS
    $$ BEGIN RETURN (SELECT machine_id FROM threadkeep.logins WHERE role_name = session_user AND revoked_at IS NULL); END $$
    """,
    *functions([*COLUMNS, ("spawned_by", "text?")]),
    *REMOVAL,
    f"GRANT EXECUTE ON FUNCTION push_threads, {', '.join(OF_REMOVAL)} TO threadkeep_machine",
    "GRANT EXECUTE ON FUNCTION my_tenant(), my_machine() TO threadkeep_owner, threadkeep_machine, threadkeep_reader",
    "CREATE TRIGGER forget_deleted AFTER DELETE ON threads REFERENCING OLD TABLE AS gone"
    " FOR EACH STATEMENT EXECUTE FUNCTION forget_deleted()",
)

OF_MACHINES = [
    "threads",
    "user_data",
    "thread_usage",
    "thread_limits",
    "documents",
    "pieces",
    "rollouts",
]
MINE = "tenant_id = (SELECT threadkeep.my_tenant())"
MY_OWN = f"{MINE} AND machine_id = (SELECT threadkeep.my_machine())"
POLICIES = tuple(
    statement
    for table in ("tenants", "machines", "logins", *OF_MACHINES)
    for statement in (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY administrators ON {table} TO threadkeep_admin USING (true) WITH CHECK (true)",
        *(
            [f"CREATE POLICY readers ON {table} FOR SELECT TO threadkeep_owner USING ({MINE})"]
            if table != "logins"
            else []
        ),
        *(
            [
                f"CREATE POLICY machines ON {table} TO threadkeep_machine USING ({MY_OWN}) WITH CHECK ({MY_OWN})"
            ]
            if table not in ("tenants", "logins")
            else []
        ),
    )
)
OF_PARTITIONS = """
    DO $$ DECLARE partition regclass; BEGIN
        FOR partition IN SELECT inhrelid FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
            WHERE c.relnamespace = 'threadkeep'::regnamespace AND c.relkind = 'r'
        LOOP
            EXECUTE 'ALTER TABLE ' || partition || ' ENABLE ROW LEVEL SECURITY';
            EXECUTE 'ALTER TABLE ' || partition || ' FORCE ROW LEVEL SECURITY';
        END LOOP;
    END $$
"""
"""Nobody but administrators is granted anything on partitions; without policies, nobody sees anything in them."""
PUT = ", ".join(("tenant_id", "machine_id", *NAMES, *LIVE.split(", ")[1:]))
GRANTS = (
    "GRANT USAGE ON SCHEMA threadkeep TO threadkeep_machine, threadkeep_reader, threadkeep_admin",
    f"GRANT ALL ON tenants, machines, logins, {', '.join(OF_MACHINES)} TO threadkeep_admin",
    "GRANT ALL ON ALL SEQUENCES IN SCHEMA threadkeep TO threadkeep_admin",
    # Whether another machine has a newer copy is not for this one to know.
    f"GRANT SELECT (row_id, {PUT}) ON threads TO threadkeep_machine",
    # Who may update, delete from or truncate a table as a whole may lock it, too, and so stop everybody.
    f"GRANT SELECT, INSERT ON {', '.join(OF_MACHINES[1:])} TO threadkeep_machine",
    "GRANT UPDATE (thread_id, month, size_bytes, mtime_ns, pieces) ON rollouts TO threadkeep_machine",
    "GRANT SELECT, UPDATE (epoch, epoch_key, former_key, former_sequence, host, sequence, pushed_at, level, version, pending) ON machines TO threadkeep_machine",
)


# They look past the policies, each at what it names.
OWNERS = (
    "GRANT CREATE ON SCHEMA threadkeep TO threadkeep_admin",
    *(
        f"ALTER FUNCTION {name} OWNER TO threadkeep_admin"
        for name in (
            *("my_tenant", "my_machine", "mark_in_order"),
            *("choose_newest", "push_threads", "forget_deleted", *OF_REMOVAL),
        )
    ),
    "REVOKE CREATE ON SCHEMA threadkeep FROM threadkeep_admin",
)


def upgrade() -> None:
    """Run by an administrator: a member of both roles, or a superuser."""
    connection = op.get_bind()
    connection.exec_driver_sql(
        "GRANT SELECT ON fleet_version"
        " TO threadkeep_owner, threadkeep_machine, threadkeep_reader, threadkeep_admin"
    )
    connection.exec_driver_sql("SET LOCAL ROLE threadkeep_owner")
    for statement in (
        *TABLES,
        *FUNCTIONS,
        *MARKS,
        *POLICIES,
        OF_PARTITIONS,
        *GRANTS,
        *views(NAMES, USAGE),
    ):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("RESET ROLE")
    for statement in OWNERS:
        connection.exec_driver_sql(statement)
