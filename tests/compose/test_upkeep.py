"""Backup, `docker compose down -v`, and restore; last of all, since it takes the stack away in between."""

from pathlib import Path

from tests.driver import ComposeDriver
from tests.upkeep import shown


def test_a_restore_after_down_v_gives_the_same_stack(compose: ComposeDriver, tmp_path: Path) -> None:
    if not compose.json("status", "--json")["champions"]:
        compose.run("run")
    before = shown(compose)
    file = tmp_path / "backup.tar"
    compose.run("backup", str(file))
    compose.docker("compose", "down", "--volumes")
    compose.run("up")
    compose.run("restore", str(file))
    assert shown(compose) == before
    assert "into an empty stack only" in compose.run("restore", str(file), ok=False).stderr
    compose.run("prune", "--dry-run", "--older-than", "1")
