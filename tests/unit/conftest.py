"""A town in memory where a first file was trained on, for the tests of what checks its results."""

from pathlib import Path

import pytest
from tests.memory_audit import MemoryAudit
from tests.memory_mart import MemoryMart
from tests.repeating import Checked
from tests.training_files import Town


@pytest.fixture
def mart() -> MemoryMart:
    return MemoryMart()


@pytest.fixture
def checked(tmp_path: Path, mart: MemoryMart) -> Checked:
    made = Checked(Town(tmp_path, mart=mart), MemoryAudit(mart))
    made.train("2026-11-01/first.parquet", 600, 1)
    return made
