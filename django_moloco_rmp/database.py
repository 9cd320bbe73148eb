"""The database's own clock."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Now


class DatabaseNow(Now):
    """
    The database's clock, the only one that schedules and leases are measured with.

    In UTC on MySQL too, where ``CURRENT_TIMESTAMP`` follows the server's time zone and jumps with
    daylight saving time.
    """

    def as_mysql(self, compiler: Any, connection: Any, **extra_context: Any) -> Any:
        """Return UTC, to the microsecond."""
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra_context)
