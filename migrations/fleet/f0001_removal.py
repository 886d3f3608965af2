"""The functions of f0001 by which machines remove their contents.

Who may delete from a table may lock it as well, and so stop everybody: PostgreSQL has no right to
the one without the other. So machines have neither, and remove by functions, which take tenant and
machine from the login.
"""

from migrations.fleet.f0001_push import FIXED_PATH

_DECLARED = """
    DECLARE
        tenant integer := threadkeep.my_tenant();
        mine integer := threadkeep.my_machine();
"""
# All of these rows, or those at the positions given beside them.
REMOVE_DOCUMENTS = f"""
    CREATE FUNCTION remove_documents(months date[], rows bigint[], positions integer[] DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER {FIXED_PATH} AS $$ {_DECLARED}
    BEGIN
        DELETE FROM threadkeep.documents WHERE tenant_id = tenant AND machine_id = mine
        AND month = ANY (months) AND row_id = ANY (rows)
        AND (positions IS NULL OR (row_id, position) IN (SELECT * FROM unnest(rows, positions)));
    END $$
"""
REMOVE_ROLLOUTS = f"""
    CREATE FUNCTION remove_rollouts(paths text[], ids text[]) RETURNS TABLE (thread_id text, month date)
    LANGUAGE plpgsql SECURITY DEFINER {FIXED_PATH} AS $$
    #variable_conflict use_column
    {_DECLARED}
    BEGIN
        RETURN QUERY DELETE FROM threadkeep.rollouts WHERE tenant_id = tenant AND machine_id = mine
        AND (path = ANY (paths) OR thread_id = ANY (ids)) RETURNING thread_id, month;
    END $$
"""
# A piece is named by the id of its thread, of 16 bytes, and its digest, of 32. A manifest is a header of 17 bytes, and
# for each piece its size, of 4 bytes, and its digest.
REMOVE_UNUSED_PIECES = f"""
    CREATE FUNCTION remove_unused_pieces(ids text[], months date[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER {FIXED_PATH} AS $$ {_DECLARED}
        id text;
        of_month date;
        name bytea;
        named bytea[];
    BEGIN
        FOR id, of_month IN SELECT * FROM unnest(ids, months) LOOP
            name := decode(replace(id, '-', ''), 'hex');
            SELECT coalesce(array_agg(substring(r.pieces FROM i FOR 32)), '{{}}') INTO named FROM threadkeep.rollouts r
            CROSS JOIN generate_series(17 + 4 + 1, octet_length(r.pieces), 4 + 32) i
            WHERE r.tenant_id = tenant AND r.machine_id = mine AND r.thread_id = id AND r.month = of_month;
            DELETE FROM threadkeep.pieces p WHERE p.tenant_id = tenant AND p.machine_id = mine AND p.month = of_month
            AND p.digest >= name AND p.digest <= name || decode(repeat('ff', 32), 'hex')
            AND substring(p.digest FROM 17) NOT IN (SELECT unnest(named));
        END LOOP;
    END $$
"""
REMOVAL = (REMOVE_DOCUMENTS, REMOVE_ROLLOUTS, REMOVE_UNUSED_PIECES)
NAMES = ("remove_documents", "remove_rollouts", "remove_unused_pieces")
