"""Add the use of tokens: of each file, and of each thread by hour and model, with the newest rate
limits, and what tokens cost."""

from alembic import op

revision = "v0011"
down_revision = "v0010"

STATEMENTS = (
    # Not in rollout_files, which each start of the program reads whole.
    """
    CREATE TABLE file_usage (
        path TEXT NOT NULL, sums TEXT NOT NULL, only_here TEXT, state TEXT NOT NULL,
        limits_at_ms INTEGER, limits TEXT, odd INTEGER DEFAULT 0 NOT NULL, odd_at INTEGER,
        CONSTRAINT pk_file_usage PRIMARY KEY (path),
        CONSTRAINT fk_file_usage_path FOREIGN KEY(path) REFERENCES rollout_files (path) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_file_usage_only_here ON file_usage (path) WHERE only_here = ''",
    """
    CREATE TABLE thread_usage (
        row_id INTEGER NOT NULL, hour INTEGER NOT NULL, model TEXT NOT NULL,
        provider TEXT NOT NULL, effort TEXT NOT NULL, service_tier TEXT NOT NULL,
        long_context INTEGER NOT NULL,
        input INTEGER NOT NULL, cached_input INTEGER NOT NULL, cache_write INTEGER NOT NULL,
        output INTEGER NOT NULL, reasoning INTEGER NOT NULL, total INTEGER NOT NULL,
        responses INTEGER NOT NULL,
        CONSTRAINT pk_thread_usage PRIMARY KEY
        (row_id, hour, model, provider, effort, service_tier, long_context),
        CONSTRAINT fk_thread_usage_row_id FOREIGN KEY(row_id) REFERENCES threads (row_id) ON DELETE CASCADE
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE thread_limits (
        row_id INTEGER NOT NULL, at_ms INTEGER NOT NULL, value TEXT NOT NULL,
        CONSTRAINT pk_thread_limits PRIMARY KEY (row_id),
        CONSTRAINT fk_thread_limits_row_id FOREIGN KEY(row_id) REFERENCES threads (row_id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_thread_limits_at_ms ON thread_limits (at_ms)",
    """
    CREATE TABLE usage_rates (
        provider TEXT NOT NULL, model TEXT NOT NULL, service_tier TEXT NOT NULL,
        long_context INTEGER NOT NULL, from_hour INTEGER NOT NULL,
        until_hour INTEGER NOT NULL, day_from INTEGER NOT NULL, day_until INTEGER NOT NULL,
        input_rate REAL, cached_input_rate REAL, cache_write_rate REAL, output_rate REAL,
        origin TEXT NOT NULL,
        CONSTRAINT pk_usage_rates PRIMARY KEY
        (provider, model, service_tier, long_context, from_hour, day_from)
    ) WITHOUT ROWID
    """,
    # The numbers are before and after all hours.
    """
    CREATE TRIGGER new_models_have_rates_due AFTER INSERT ON thread_usage
    WHEN NOT EXISTS (SELECT 1 FROM usage_rates WHERE (provider, model, service_tier, long_context)
    = (new.provider, new.model, new.service_tier, new.long_context))
    BEGIN INSERT INTO usage_rates
    VALUES (new.provider, new.model, new.service_tier, new.long_context,
    -1000000000, 1000000000, 0, 24, NULL, NULL, NULL, NULL, 'due'); END
    """,
    """
    CREATE VIEW v_usage AS SELECT
    t.id AS thread_id, strftime('%Y-%m-%dT%H:%M:%SZ', u.hour * 3600, 'unixepoch') AS hour,
    u.hour AS hour_number, u.model,
    CASE u.provider WHEN '' THEN t.model_provider ELSE u.provider END AS provider,
    u.effort, u.service_tier, u.long_context, u.input, u.cached_input, u.cache_write, u.output,
    u.reasoning, u.total, u.responses,
    max(u.input - u.cached_input - u.cache_write, 0) * r.input_rate
    + u.cached_input * r.cached_input_rate + u.cache_write * r.cache_write_rate
    + u.output * r.output_rate AS cost
    FROM thread_usage u JOIN threads t ON t.row_id = u.row_id LEFT JOIN usage_rates r
    ON r.provider = u.provider AND r.model = u.model AND r.service_tier = u.service_tier
    AND r.long_context = u.long_context AND u.hour >= r.from_hour AND u.hour < r.until_hour
    AND (u.hour % 24 + 24) % 24 >= r.day_from AND (u.hour % 24 + 24) % 24 < r.day_until
    """,
    """
    CREATE VIEW v_thread_usage AS SELECT
    thread_id, sum(input) AS input, sum(cached_input) AS cached_input,
    sum(cache_write) AS cache_write, sum(output) AS output, sum(reasoning) AS reasoning,
    sum(total) AS total, sum(responses) AS responses, sum(cost) AS cost,
    sum(iif(cost IS NULL, total, 0)) AS unpriced_tokens FROM v_usage GROUP BY thread_id
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
