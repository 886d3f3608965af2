"""What the rows ``u`` of ``thread_usage`` cost, in SQL. Standard library only."""

from typing import Final

HOUR_OF_DAY: Final = "(u.hour % 24 + 24) % 24"  # hours before 1970 are negative
RATES_JOIN: Final = (
    "LEFT JOIN usage_rates r"
    " ON r.provider = u.provider AND r.model = u.model AND r.service_tier = u.service_tier"
    " AND r.long_context = u.long_context AND u.hour >= r.from_hour AND u.hour < r.until_hour"
    f" AND {HOUR_OF_DAY} >= r.day_from AND {HOUR_OF_DAY} < r.day_until"
)
"""The rates ``r`` of each row, if there are any."""
COST: Final = (
    "max(u.input - u.cached_input - u.cache_write, 0) * r.input_rate"
    " + u.cached_input * r.cached_input_rate + u.cache_write * r.cache_write_rate"
    " + u.output * r.output_rate"
)
"""In USD; null if the model has no price."""
