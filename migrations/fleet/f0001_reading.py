"""What f0001 makes for readers: views, and marks that are in the order of lists."""

from migrations.fleet.f0001_push import FIXED_PATH

_OF_THREAD = ("recency_at_ms", "created_at_ms", "updated_at_ms", "facet")
OF_THREAD = "recency_at_ms bigint, created_at_ms bigint, updated_at_ms bigint, facet text"
"""What user data has of its thread, so that an index has the threads with a mark in the order of lists."""
MARKS = (
    # A push sends all marks of a thread with each change of it.
    f"""
    CREATE FUNCTION mark_in_order() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {FIXED_PATH} AS $$
    BEGIN
        SELECT {", ".join(_OF_THREAD)} INTO {", ".join(f"NEW.{name}" for name in _OF_THREAD)} FROM threadkeep.threads
        WHERE tenant_id = NEW.tenant_id AND id = NEW.thread_id AND machine_id = NEW.machine_id;
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER mark_in_order BEFORE INSERT OR UPDATE ON user_data FOR EACH ROW EXECUTE FUNCTION mark_in_order()",
    "CREATE INDEX ON user_data (tenant_id, key, recency_at_ms, thread_id)"
    " INCLUDE (machine_id, created_at_ms, updated_at_ms, facet) WHERE value IS NOT NULL",
)


def _views(schema: str, copies: str, names: list[str], usage_names: list[str]) -> tuple[str, ...]:
    shown = ", ".join(f"t.{name}" for name in names)
    of = f"FROM threadkeep.threads t WHERE {copies}"
    join = f"JOIN threadkeep.threads t ON t.tenant_id = u.tenant_id AND t.machine_id = u.machine_id AND {{0}} WHERE {copies}"
    of_marks = ", ".join(f"u.{name}" for name in _OF_THREAD)
    usage = ", ".join(
        f"u.{name}"
        for name in (
            "hour",
            "model",
            "provider",
            "effort",
            "service_tier",
            "long_context",
            *usage_names,
        )
    )
    made = {
        "threads": "SELECT t.tenant_id, t.machine_id, t.row_id, t.created_at_ms / 1000 AS created_at, t.updated_at_ms / 1000 AS updated_at,"
        f" t.recency_at_ms / 1000 AS recency_at, 0::bigint AS inode, t.level, t.pushed_at, {shown} {of}",
        "user_data": f"SELECT u.tenant_id, u.thread_id, u.key, u.value, u.set_at_ms FROM threadkeep.user_data u {join.format('t.id = u.thread_id')}",
        "copied_data": f"SELECT u.tenant_id, u.machine_id, u.thread_id, u.key, u.value, {of_marks} FROM threadkeep.user_data u",
        "thread_usage": f"SELECT u.tenant_id, u.row_id, {usage} FROM threadkeep.thread_usage u {join.format('t.row_id = u.row_id')}",
        "thread_limits": f"SELECT u.tenant_id, u.row_id, u.at_ms, u.value FROM threadkeep.thread_limits u {join.format('t.row_id = u.row_id')}",
        "thread_spawn_edges": f"SELECT t.tenant_id, t.id AS child_thread_id, t.spawned_by AS parent_thread_id, 'open'::text AS status {of} AND t.spawned_by IS NOT NULL",
        "rollout_files": f"SELECT t.tenant_id, t.rollout_path AS path, t.id AS thread_id, 'indexed'::text AS bucket, t.size_bytes, NULL::text AS reason, NULL::bigint AS reason_offset {of}",
        "path_aliases": "SELECT ''::text COLLATE \"C\" AS old_key, ''::text COLLATE \"C\" AS old, ''::text COLLATE \"C\" AS new, ''::text COLLATE \"C\" AS new_key, 0::bigint AS set_at_ms WHERE false",
        "documents": "SELECT u.tenant_id, u.machine_id, u.month, u.row_id, u.position, u.messages, u.digest FROM threadkeep.documents u "
        + join.format("t.row_id = u.row_id"),
        "rollouts": "SELECT u.tenant_id, u.machine_id, u.path, u.thread_id, u.month, u.size_bytes, u.mtime_ns, u.pieces FROM threadkeep.rollouts u",
        "pieces": "SELECT u.tenant_id, u.machine_id, u.month, u.digest, u.size, u.data FROM threadkeep.pieces u",
        "copies": "SELECT t.tenant_id, t.id, t.machine_id, t.updated_at_ms, t.size_bytes, t.level, t.pushed_at FROM threadkeep.threads t WHERE NOT t.deleted",
        "machines": "SELECT tenant_id, machine_id, name, user_name, pushed_at, level, version, pending, revoked_at FROM threadkeep.machines",
        "fleet_version": "SELECT version_num FROM threadkeep.fleet_version",
    }
    return (
        f"CREATE SCHEMA {schema}",
        *(f"CREATE VIEW {schema}.{name} AS {sql}" for name, sql in made.items()),
        f"GRANT USAGE ON SCHEMA {schema} TO threadkeep_reader, threadkeep_admin",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO threadkeep_reader, threadkeep_admin",
    )


def views(names: list[str], usage: list[str]) -> tuple[str, ...]:
    """What readers have: the newest copies of threads, and in another schema those of one machine."""
    machine = "(SELECT nullif(current_setting('threadkeep.machine_id', true), '')::integer)"
    return (
        *_views("threadkeep_index", "t.newest", names, usage),
        *_views("threadkeep_machine", f"NOT t.deleted AND t.machine_id = {machine}", names, usage),
    )
