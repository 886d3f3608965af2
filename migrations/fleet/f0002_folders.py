"""The folders of a tenant, by whose names projects are called.

A million threads are of some hundred thousand folders, each with an origin or two. To find those of
a project among the threads takes a second, so each is noted once, with the words of its path and of
its origin, each behind the number of the tenant. A folder that has no threads any more stays until ``fleet prune``.
"""

_ADDRESS = "translate(lower(trim(origin) COLLATE \"C\"), chr(92), '/')"
FOLDER_WORDS = f"""
    CREATE FUNCTION folder_words(tenant integer, folder text, origin text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE {{path}} AS $$
        SELECT array_agg(tenant::text || '/' || word) FROM (
            SELECT unnest(string_to_array(lower(folder COLLATE "C"), '/'))
            UNION SELECT unnest(string_to_array({_ADDRESS}, '/'))
            UNION SELECT unnest(regexp_split_to_array(replace({_ADDRESS} || '/', '.git/', '/'), '[/:]'))
        ) of_both (word) WHERE word <> ''
    $$
"""
TABLE = (
    """
    CREATE TABLE folders (
        tenant_id integer NOT NULL, cwd_key text COLLATE "C" NOT NULL, git_origin_url text COLLATE "C" NOT NULL,
        words text[] GENERATED ALWAYS AS (threadkeep.folder_words(tenant_id, cwd_key, git_origin_url)) STORED,
        PRIMARY KEY (tenant_id, cwd_key, git_origin_url)
    )
    """,
    "CREATE INDEX ON folders USING gin (words) WITH (fastupdate = on, gin_pending_list_limit = 1024)",
    "ALTER TABLE folders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "CREATE POLICY administrators ON folders TO threadkeep_admin USING (true) WITH CHECK (true)",
    "CREATE POLICY readers ON folders FOR SELECT TO threadkeep_owner"
    " USING (tenant_id = (SELECT threadkeep.my_tenant()))",
    "GRANT ALL ON folders TO threadkeep_admin",
    "CREATE VIEW threadkeep_index.folders AS"
    " SELECT f.tenant_id, f.cwd_key, f.git_origin_url FROM threadkeep.folders f",
    "GRANT SELECT ON threadkeep_index.folders TO threadkeep_reader, threadkeep_admin",
)
# In one order, as two pushes may bring the same ones. Nearly all are there already, and are looked up one by one.
KEEP_FOLDERS = """
    CREATE FUNCTION keep_folders() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {path}
    SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    BEGIN
        INSERT INTO threadkeep.folders (tenant_id, cwd_key, git_origin_url)
        SELECT n.* FROM (
            SELECT DISTINCT tenant_id, cwd_key, coalesce(git_origin_url, '') AS git_origin_url FROM changed WHERE NOT deleted
        ) n WHERE NOT EXISTS (
            SELECT FROM threadkeep.folders f WHERE f.tenant_id = n.tenant_id AND f.cwd_key = n.cwd_key
            AND f.git_origin_url = n.git_origin_url
        ) ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$
"""
TRIGGERS = tuple(
    f"CREATE TRIGGER keep_folders_of_{event.lower()} AFTER {event} ON threads"
    " REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION keep_folders()"
    for event in ("INSERT", "UPDATE")
)
# Row security would keep the index on words from serving, and so would the collation of what is asked, which a function
# gives what it makes of it. The sum keeps PostgreSQL from the index on the tenant.
FOLDERS_CALLED = """
    CREATE FUNCTION folders_called(tenant integer, called text[], most integer) RETURNS SETOF text
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED {path} SET enable_seqscan = off SET enable_indexscan = off AS $$
    BEGIN
        {checked}
        RETURN QUERY SELECT f.cwd_key FROM unnest(called[1:64]) c (word) JOIN threadkeep.folders f
            ON f.words @> ARRAY[(tenant::text || '/' || c.word) COLLATE pg_catalog."default"] AND f.tenant_id + 0 = tenant
            LIMIT most;
    END $$
"""
