"""What every DAG of the product has in common."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gauntlet.bootstrap.people import tell_failure


def dag_settings(minutes: int) -> dict[str, Any]:
    """Return a DAG's common arguments; `minutes` is how long a task may take."""
    return {
        "start_date": datetime(2026, 1, 1, tzinfo=UTC),
        "catchup": False,
        "max_active_runs": 1,
        "is_paused_upon_creation": True,
        "on_failure_callback": tell_failure,
        "default_args": {
            "owner": "gauntlet",
            "retries": 3,
            "retry_delay": timedelta(seconds=10),
            "execution_timeout": timedelta(minutes=minutes),
        },
    }
