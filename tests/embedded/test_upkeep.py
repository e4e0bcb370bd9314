"""Backup, restore into another state folder, and prune, as a user types them."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.driver import Driver, EmbeddedDriver
from tests.upkeep import Shown, shown

DAYS = 86_400


@pytest.fixture(scope="module")
def backup(driver: Driver) -> Iterator[Path]:
    """A backup of the stack, which has a champion by then."""
    if not driver.json("status", "--json")["champions"]:
        driver.run("run")
    folder = Path(tempfile.mkdtemp(prefix="gauntlet-backup-"))
    driver.run("backup", str(folder / "backup.tar"))
    yield folder / "backup.tar"
    shutil.rmtree(folder)


@pytest.fixture
def other() -> Iterator[EmbeddedDriver]:
    """An empty stack beside that one."""
    home = Path(tempfile.mkdtemp(prefix="gauntlet-other-"))
    home.chmod(0o711)
    other = EmbeddedDriver.make(home)
    try:
        other.run("up")
        yield other
    finally:
        other.remove()
        shutil.rmtree(home)


def test_another_stack_becomes_the_one_that_was_backed_up(driver: Driver, backup: Path, other: EmbeddedDriver) -> None:
    before: Shown = shown(driver)
    assert "rows now say" in other.run("restore", str(backup)).stdout
    assert shown(other) == before
    refused = other.run("restore", str(backup), ok=False)
    assert refused.returncode == 1
    assert "into an empty stack only" in refused.stderr


def test_prune_takes_what_is_old_and_leaves_what_is_named(driver: Driver) -> None:
    home = Path(driver.env["GAUNTLET_HOME"])
    loose = home / "objects" / "snapshots" / "loose.parquet"
    loose.parent.mkdir(parents=True, exist_ok=True)
    loose.write_bytes(b"rows")
    for path in (home / "objects").rglob("*.parquet"):
        os.utime(path, (time.time() - 3 * DAYS, time.time() - 3 * DAYS))
    before = shown(driver)
    dry = driver.run("prune", "--dry-run", "--older-than", "2", "--verbose").stdout
    assert "objects: snapshots/loose.parquet (4 bytes)" in dry
    assert loose.exists()
    driver.run("prune", "--older-than", "2")
    assert not loose.exists()
    assert shown(driver) == before
