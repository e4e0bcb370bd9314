"""A decision on a table in a file, without a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from gauntlet.domain.comparison_table import TableComparison
    from gauntlet.domain.promotion import Decision


@dataclass(frozen=True)
class FileDecision:
    """The decision on a file's rows, what it rests on, and the hash of the policy that made it."""

    decision: Decision
    table: TableComparison
    policy_sha256: str


def decide_file(rows: Path, policy_file: Path | None) -> FileDecision:
    """Decide on the rows of a CSV or parquet file by a policy (TOML), or the usual one.

    The policy and its hash are fixed before the rows are read. Raises TableError, PolicyError or ColumnsError.
    """
    from gauntlet.adapters.tables import read_table, read_toml
    from gauntlet.domain.comparison_table import compare_table
    from gauntlet.domain.promotion import PromotionPolicy, decide

    policy = PromotionPolicy.from_dict(read_toml(policy_file) if policy_file else {})
    sha256 = policy.sha256()
    table = compare_table(read_table(rows), policy)
    return FileDecision(decide(table.comparison, policy), table, sha256)
