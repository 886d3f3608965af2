"""Search of the text of threads, and of their titles.

Row security keeps PostgreSQL from using an index on trigrams: it would look at rows of others before it
asks whose they are, and an operator that looks into a text may tell of it. So the functions here look past the
policies, each at one tenant, which must be that of the login.
"""

from alembic import op

from migrations.fleet import f0002_folders as folders
from migrations.fleet.f0001_push import FIXED_PATH

revision = "f0002"
down_revision = "f0001"

# The trigrams of a text with any letters beside it are those that it has both alone and between letters
# that it does not have itself.
TRIGRAMS = """
    CREATE FUNCTION trigrams_of(term text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE {path} AS $$
        SELECT array_agg(own.trigram) FROM (
            SELECT unnest({extension}.show_trgm(term))
            INTERSECT
            SELECT unnest({extension}.show_trgm(other.letter || term || other.letter)) FROM (
                SELECT letter FROM unnest(string_to_array('q x z j v k w y 7 9 4 8 ж', ' ')) letter
                WHERE strpos(lower(term), letter) = 0 LIMIT 1
            ) other
        ) own (trigram)
    $$
"""
CHECKED = """
    IF tenant IS NULL OR tenant IS DISTINCT FROM threadkeep.my_tenant() THEN
        RAISE insufficient_privilege USING MESSAGE = 'this is not the tenant of the login';
    END IF;
"""
# Of the index alone, a candidate costs less than a microsecond; to look into its text, a hundred times as
# much. So the index is on the trigrams themselves, which need no second look, and on the tenant: those of
# others are not even candidates. Which of several terms is the rarest, only the index can tell: it is asked
# for a few documents of each first, and for more if all have more.
KEYS = "({extension}.show_trgm(text) || ('#' || tenant_id::text))"
TEXT_ROWS = """
    CREATE FUNCTION text_rows(tenant integer, machine integer, terms text[], most integer) RETURNS bigint[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED {path}
    SET enable_seqscan = off SET enable_indexscan = off SET max_parallel_workers_per_gather = 0 SET work_mem = '32MB'
    AS $$
    DECLARE
        few CONSTANT integer := least(greatest(most, 0), 50000);
        enough CONSTANT integer := least(500, few);
        few_documents integer := CASE cardinality(terms) WHEN 1 THEN few ELSE enough END;
        term text;
        trigrams text[];
        holding bigint[];
        found bigint[];
    BEGIN
        {checked}
        LOOP
            FOREACH term IN ARRAY terms[1:64] LOOP
                trigrams := threadkeep.trigrams_of(term);
                CONTINUE WHEN trigrams IS NULL;
                SELECT coalesce(array_agg(row_id), '{{}}') INTO holding FROM (
                    SELECT row_id FROM threadkeep.documents
                    WHERE {keys} @> (trigrams || ('#' || tenant::text)) AND tenant_id + 0 = tenant
                    AND (machine IS NULL OR machine_id + 0 = machine)
                    LIMIT few_documents + 1
                ) few_rows;
                CONTINUE WHEN cardinality(holding) > few_documents;
                IF found IS NULL THEN
                    found := holding;
                ELSE
                    SELECT coalesce(array_agg(row_id), '{{}}') INTO found
                    FROM (SELECT unnest(holding) row_id INTERSECT SELECT unnest(found)) common;
                END IF;
                EXIT WHEN cardinality(found) <= enough;
                -- Another term helps only if it leaves fewer; to fetch more than these costs more than to look at them.
                few_documents := cardinality(found);
            END LOOP;
            EXIT WHEN found IS NOT NULL OR few_documents >= few;
            few_documents := least(8 * few_documents, few);
        END LOOP;
        RETURN found;
    END $$
"""
TEXT_COUNTS = """
    CREATE FUNCTION text_counts(tenant integer, machine integer, terms text[], most integer)
    RETURNS TABLE (documents bigint, holding bigint[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED {path}
    SET enable_seqscan = off SET max_parallel_workers_per_gather = 0 SET work_mem = '32MB'
    AS $$
    DECLARE
        few integer := least(greatest(most, 0), 100000);
    BEGIN
        {checked}
        RETURN QUERY SELECT (
            SELECT count(*) FROM (
                SELECT 1 FROM threadkeep.documents
                WHERE tenant_id = tenant AND (machine IS NULL OR machine_id = machine) LIMIT 5 * few
            ) all_of_them
        ), (
            SELECT array_agg((
                SELECT count(*) FROM (
                    SELECT 1 FROM threadkeep.documents
                    WHERE {keys} @> (threadkeep.trigrams_of(term) || ('#' || tenant::text))
                    AND tenant_id + 0 = tenant AND (machine IS NULL OR machine_id + 0 = machine) LIMIT few
                ) some_of_them
            ) ORDER BY number) FROM unnest(terms[1:64]) WITH ORDINALITY AS each_of_them (term, number)
        );
    END $$
"""
TEXT_SCORES = """
    CREATE FUNCTION text_scores(tenant integer, machine integer, terms text[], weights integer[], most integer)
    RETURNS TABLE (row_id bigint, month date, "position" integer, score bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED {path}
    SET enable_seqscan = off SET max_parallel_workers_per_gather = 0 SET work_mem = '32MB'
    AS $$
    BEGIN
        {checked}
        RETURN QUERY
            SELECT d.row_id, d.month, d.position, sum(t.weight) AS own_score
            FROM unnest(terms[1:64], weights[1:64]) AS t (term, weight)
            CROSS JOIN LATERAL (
                SELECT holding.row_id, holding.month, holding.position FROM threadkeep.documents holding
                WHERE {keys} @> (threadkeep.trigrams_of(t.term) || ('#' || tenant::text))
                AND tenant_id + 0 = tenant AND (machine IS NULL OR machine_id + 0 = machine) LIMIT 50000
            ) d
            GROUP BY d.row_id, d.month, d.position ORDER BY own_score DESC, d.row_id DESC, d.position
            LIMIT least(greatest(most, 0), 50000);
    END $$
"""
# Each text is read once, whatever the number of terms. The joins are of one row each, whatever the planner
# expects of tables that nobody has analyzed yet.
TEXT_MATCHES = """
    CREATE FUNCTION text_matches(tenant integer, rows bigint[], terms text[])
    RETURNS TABLE (row_id bigint, month date, "position" integer, held bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED {path}
    SET enable_seqscan = off SET max_parallel_workers_per_gather = 0 AS $$
    BEGIN
        {checked}
        RETURN QUERY
            SELECT r.row_id, t.month, d.position, m.held
            FROM unnest(rows) r (row_id)
            CROSS JOIN LATERAL (
                SELECT own.machine_id, threadkeep.month_of(own.created_at_ms) AS month
                FROM threadkeep.threads own WHERE own.tenant_id = tenant AND own.row_id = r.row_id OFFSET 0
            ) t
            CROSS JOIN LATERAL (
                SELECT own.position, own.text FROM threadkeep.documents own
                WHERE own.tenant_id = tenant AND own.row_id = r.row_id
                AND own.machine_id = t.machine_id AND own.month = t.month OFFSET 0
            ) d
            CROSS JOIN LATERAL (SELECT d.text || '' AS body OFFSET 0) b
            CROSS JOIN LATERAL (
                SELECT bit_or(1::bigint << (number - 1)::integer) AS held
                FROM unnest(terms[1:64]) WITH ORDINALITY AS e (term, number) WHERE strpos(b.body, term) > 0
            ) m
            WHERE m.held IS NOT NULL;
    END $$
"""
# What the threads that came last have is found by walking, not by the index: it would give very many.
TITLE_IS_COMMON = """
    CREATE FUNCTION title_is_common(tenant integer, patterns text[]) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL RESTRICTED {path} SET enable_indexscan = on AS $$
        SELECT count(*) > 15 FROM (
            SELECT search_text FROM threadkeep.threads WHERE tenant_id = tenant ORDER BY row_id DESC LIMIT 300
        ) last WHERE search_text LIKE ALL (patterns)
    $$
"""
# The index intersects what it has of each LIKE, and knows nothing of LIKE ALL. The longest is not always the rarest.
TITLE_ROWS = """
    CREATE FUNCTION title_rows(tenant integer, machine integer, terms text[], most integer) RETURNS bigint[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED {path}
    SET enable_seqscan = off SET enable_indexscan = off SET max_parallel_workers_per_gather = 0 AS $$
    DECLARE
        few integer := least(greatest(most, 0), 50000);
        patterns text[];
        found bigint[];
    BEGIN
        {checked}
        SELECT array_agg('%%' || regexp_replace(term, '([\\%%_])', '\\\1', 'g') || '%%' ORDER BY length(term) DESC)
        INTO patterns FROM unnest(terms[1:64]) term WHERE threadkeep.trigrams_of(term) IS NOT NULL;
        IF patterns IS NULL OR threadkeep.title_is_common(tenant, patterns) THEN RETURN NULL; END IF;
        SELECT coalesce(array_agg(row_id), '{{}}') INTO found FROM (
            SELECT t.row_id FROM threadkeep.threads t
            WHERE t.tenant_id = tenant AND t.search_text LIKE patterns[1]
            AND t.search_text LIKE coalesce(patterns[2], patterns[1])
            AND t.search_text LIKE coalesce(patterns[3], patterns[1]) AND t.search_text LIKE ALL (patterns)
            AND CASE WHEN machine IS NULL THEN t.newest ELSE t.machine_id = machine AND NOT t.deleted END
            LIMIT few + 1
        ) few_rows;
        RETURN CASE WHEN cardinality(found) <= few THEN found END;
    END $$
"""
# EXPLAIN tells whoever may read a table or a view how many rows it expects of a value: by what is known of the values of all
# tenants, not by the rows that row security lets through. So nothing is known of what people have named and written; where an
# index has the column, the plans are the same. And to analyze the keys of 8 KB takes as long as to make them, for 30,000
# documents whenever a tenth of a partition has changed.
TEXTS = "'text'::regtype, 'text[]'::regtype, 'bytea'::regtype"
KNOWN = "'facet', 'source_kind', 'model', 'model_provider', 'provider', 'effort', 'service_tier', 'key', 'level'"
WITHOUT_STATISTICS = f"""
    CREATE FUNCTION without_statistics() RETURNS void LANGUAGE plpgsql {{path}} AS $$
    DECLARE
        of record;
    BEGIN
        FOR of IN SELECT c.oid::regclass AS made, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relnamespace = 'threadkeep'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> 'fleet_version'
            AND a.attnum > 0 AND a.attstattarget <> 0 AND a.atttypid IN ({TEXTS}) AND a.attname NOT IN ({KNOWN})
        LOOP
            EXECUTE 'ALTER TABLE ONLY ' || of.made || ' ALTER ' || quote_ident(of.attname) || ' SET STATISTICS 0';
        END LOOP;
        FOR of IN SELECT inhrelid::regclass AS made FROM pg_inherits WHERE inhparent = 'threadkeep.documents_keys'::regclass LOOP
            EXECUTE 'ALTER INDEX ' || of.made || ' ALTER COLUMN 1 SET STATISTICS 0';
        END LOOP;
    END $$
"""
# As state.fleet.push.batch.month_of: a time beyond all dates has the first or the last month.
MONTH_OF = """
    CREATE FUNCTION month_of(at_ms bigint) RETURNS date LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT CASE WHEN at_ms < -62135596800000 THEN date '0001-01-01'
            WHEN at_ms > 253402300799999 THEN date '9999-12-01'
            ELSE date_trunc('month', timestamp '1970-01-01'
                + (at_ms / 1000 - (mod(at_ms, 1000) < 0)::integer) * interval '1 second')::date
        END
    $$
"""
DEFINITIONS = (
    MONTH_OF,
    TRIGRAMS,
    TEXT_ROWS,
    TEXT_MATCHES,
    TEXT_COUNTS,
    TEXT_SCORES,
    TITLE_IS_COMMON,
    TITLE_ROWS,
    folders.FOLDER_WORDS,
    *folders.TABLE,
    folders.KEEP_FOLDERS,
    *folders.TRIGGERS,
    folders.FOLDERS_CALLED,
)
GRANTED = (
    "text_rows(integer, integer, text[], integer)",
    "text_matches(integer, bigint[], text[])",
    "text_counts(integer, integer, text[], integer)",
    "text_scores(integer, integer, text[], integer[], integer)",
    "title_rows(integer, integer, text[], integer)",
    "folders_called(integer, text[], integer)",
)
EXTENSION = (
    "SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace"
    " WHERE extname = 'pg_trgm'"
)


def upgrade() -> None:
    """Run by an administrator: a member of both roles, or a superuser."""
    connection = op.get_bind()
    extension = connection.exec_driver_sql(EXTENSION).scalar_one()
    keys = KEYS.format(extension=extension)
    connection.exec_driver_sql("SET LOCAL ROLE threadkeep_owner")
    connection.exec_driver_sql("ALTER TABLE documents ALTER messages SET STORAGE EXTERNAL")
    connection.exec_driver_sql(
        f"CREATE INDEX documents_keys ON documents USING gin ({keys})"
        " WITH (fastupdate = on, gin_pending_list_limit = 1024)"
    )
    for template in DEFINITIONS:
        made = template.format(path=FIXED_PATH, extension=extension, keys=keys, checked=CHECKED)
        connection.exec_driver_sql(made)
    connection.exec_driver_sql(WITHOUT_STATISTICS.format(path=FIXED_PATH))
    connection.exec_driver_sql("SELECT without_statistics()")
    for function in GRANTED:
        connection.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION {function} TO threadkeep_reader")
    helpers = (
        "month_of(bigint), trigrams_of(text), title_is_common(integer, text[]),"
        " folder_words(integer, text, text)"
    )
    connection.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION {helpers} TO threadkeep_admin")
    connection.exec_driver_sql("RESET ROLE")
    connection.exec_driver_sql("GRANT CREATE ON SCHEMA threadkeep TO threadkeep_admin")
    for function in (*GRANTED, "keep_folders()"):
        connection.exec_driver_sql(f"ALTER FUNCTION {function} OWNER TO threadkeep_admin")
    connection.exec_driver_sql("REVOKE CREATE ON SCHEMA threadkeep FROM threadkeep_admin")
