"""The functions of f0001 by which machines push rows of threads.

Which copy of a thread is the newest depends on those of other machines, which a machine neither
sees nor changes. So all that machines write of threads goes through one function, which looks past
row security at the copies of the threads it is given, in the tenant of the login. Whole batches are
marked at once: a trigger for each row took a third of the time of a push.
"""

FIXED_PATH = "SET search_path = pg_catalog, pg_temp"
# The last change counts, then the larger file, then the last machine.
CHOOSE_NEWEST = f"""
    CREATE FUNCTION choose_newest(tenant integer, ids text[]) RETURNS void LANGUAGE plpgsql {FIXED_PATH} AS $$
    DECLARE
        demoted bigint[];
        promoted bigint[];
    BEGIN
        SELECT array_agg(row_id) FILTER (WHERE newest), array_agg(row_id) FILTER (WHERE NOT newest)
        INTO demoted, promoted FROM (
            SELECT row_id, newest, NOT deleted AND 1 = row_number() OVER (
                PARTITION BY id ORDER BY deleted, updated_at_ms DESC, size_bytes DESC, machine_id DESC
            ) AS is_newest FROM threadkeep.threads WHERE tenant_id = tenant AND id = ANY (ids)
        ) copies WHERE newest <> is_newest;
        IF demoted IS NOT NULL THEN
            UPDATE threadkeep.threads SET newest = false WHERE tenant_id = tenant AND row_id = ANY (demoted);
        END IF;
        IF promoted IS NOT NULL THEN
            UPDATE threadkeep.threads SET newest = true WHERE tenant_id = tenant AND row_id = ANY (promoted);
        END IF;
    END $$
"""
# Of two pushes that change copies of one thread, each would decide by what the other one has not
# changed yet. So each first locks all copies, in one order, and looks once more after it has changed
# its own. Where neither finds the other's new copy, the unique index on the newest ones does.
PUSH_THREADS = """
    CREATE FUNCTION push_threads(epoch bigint, revision bigint, level text, gone text[], {arguments})
    RETURNS TABLE (id text, row_id bigint, former_level text, former_created_at_ms bigint, is_gone boolean)
    LANGUAGE plpgsql SECURITY DEFINER {path} AS $$
    #variable_conflict use_column
    DECLARE
        tenant integer := threadkeep.my_tenant();
        mine integer := threadkeep.my_machine();
        known bigint[];
        changed text[];
        shared text[];
        outdone text[] := '{{}}';
    BEGIN
        IF tenant IS NULL OR mine IS NULL THEN
            RAISE insufficient_privilege USING MESSAGE = 'this login is no machine';
        END IF;
        SELECT array_agg(t.row_id) FILTER (WHERE machine_id = mine), array_agg(t.id) FILTER (WHERE machine_id = mine),
            array_agg(t.id) FILTER (WHERE machine_id <> mine)
        INTO known, changed, shared FROM threadkeep.threads t
        WHERE tenant_id = tenant AND t.id = ANY (new_id || gone);
        IF shared IS NOT NULL THEN
            PERFORM FROM threadkeep.threads t WHERE tenant_id = tenant AND t.id = ANY (shared)
            ORDER BY t.id, machine_id FOR UPDATE;
            SELECT coalesce(array_agg(DISTINCT t.id), '{{}}') INTO outdone
            FROM unnest(new_id, new_updated_at_ms, new_size_bytes) u (id, updated_at_ms, size_bytes)
            JOIN threadkeep.threads t ON t.id = u.id WHERE tenant_id = tenant AND machine_id <> mine AND NOT deleted
            AND (t.updated_at_ms, t.size_bytes, machine_id) > (u.updated_at_ms, u.size_bytes, mine);
            UPDATE threadkeep.threads t SET newest = false WHERE tenant_id = tenant AND newest AND machine_id <> mine
            AND t.id = ANY (shared) AND t.id = ANY (new_id) AND NOT t.id = ANY (outdone);
        END IF;
        IF known IS NULL THEN
            RETURN QUERY INSERT INTO threadkeep.threads ({put}) SELECT {made}
            RETURNING threads.id, threads.row_id, NULL::text, NULL::bigint, false;
        ELSE
            DELETE FROM threadkeep.user_data WHERE tenant_id = tenant AND machine_id = mine AND thread_id = ANY (changed);
            DELETE FROM threadkeep.thread_usage u WHERE tenant_id = tenant AND machine_id = mine AND u.row_id = ANY (known);
            DELETE FROM threadkeep.thread_limits l WHERE tenant_id = tenant AND machine_id = mine AND l.row_id = ANY (known);
            RETURN QUERY UPDATE threadkeep.threads t SET deleted = true, newest = false, epoch = $1, revision = $2,
                pushed_at = now(), level = 'metadata', archived = 0, facet = '010||', {emptied}
            WHERE tenant_id = tenant AND machine_id = mine AND NOT deleted AND t.id = ANY (gone)
            RETURNING t.id, t.row_id, NULL::text, t.created_at_ms, true;
            RETURN QUERY WITH former AS (
                SELECT t.id, t.level, t.created_at_ms FROM threadkeep.threads t
                WHERE tenant_id = tenant AND t.row_id = ANY (known)
            ), done AS (
                INSERT INTO threadkeep.threads ({put}) SELECT {made}
                ON CONFLICT (tenant_id, id, machine_id) DO UPDATE SET {updated_to}
                WHERE (threads.epoch, threads.revision) < (excluded.epoch, excluded.revision)
                RETURNING threads.id, threads.row_id
            )
            SELECT done.id, done.row_id, former.level, former.created_at_ms, false FROM done LEFT JOIN former USING (id);
        END IF;
        IF changed IS NOT NULL OR shared IS NOT NULL THEN
            PERFORM threadkeep.choose_newest(tenant, changed || shared);
        END IF;
    END $$
"""
FORGET_DELETED = f"""
    CREATE FUNCTION forget_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {FIXED_PATH} AS $$
    DECLARE
        tenant integer;
        rows bigint[];
        ids text[];
    BEGIN
        FOR tenant, rows, ids IN SELECT tenant_id, array_agg(row_id), array_agg(id) FROM gone GROUP BY tenant_id LOOP
            DELETE FROM threadkeep.thread_usage WHERE tenant_id = tenant AND row_id = ANY (rows);
            DELETE FROM threadkeep.thread_limits WHERE tenant_id = tenant AND row_id = ANY (rows);
            DELETE FROM threadkeep.user_data u USING gone g WHERE u.tenant_id = tenant
            AND u.thread_id = g.id AND u.machine_id = g.machine_id AND g.tenant_id = tenant;
            PERFORM threadkeep.choose_newest(tenant, ids);
        END LOOP;
        RETURN NULL;
    END $$
"""


def functions(columns: list[tuple[str, str]]) -> tuple[str, ...]:
    """Those functions, for a table with these columns: the name of each, and its type as declared,
    with a question mark if it may be null."""
    names = [name for name, _ in columns]
    of_push = {
        "epoch": "$1",
        "revision": "$2",
        "deleted": "false",
        "level": "$3",
        "pushed_at": "now()",
    }
    put = {
        "tenant_id": "tenant",
        "machine_id": "mine",
        "newest": "NOT u.id = ANY (outdone)",
        **of_push,
        **{name: f"u.{name}" for name in names},
    }
    kept = ("id", "created_at_ms", "updated_at_ms", "recency_at_ms", "facet", "archived")
    empty = {"text": "''", "bigint": "0"}
    arrays = ", ".join(f"new_{name}" for name in names)
    push_threads = PUSH_THREADS.format(
        arguments=", ".join(f"new_{name} {kind.rstrip('?')}[]" for name, kind in columns),
        path=FIXED_PATH,
        put=", ".join(put),
        made=f"{', '.join(put.values())} FROM unnest({arrays}) u ({', '.join(names)})",
        updated_to=", ".join(
            f"{name} = excluded.{name}" for name in ("newest", *of_push, *names[1:])
        ),
        emptied=", ".join(
            f"{name} = {empty.get(kind, 'NULL')}" for name, kind in columns if name not in kept
        ),
    )
    return CHOOSE_NEWEST, push_threads, FORGET_DELETED
