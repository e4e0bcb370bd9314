"""Backup, restore and prune of the stack that commands work with."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gauntlet.bootstrap.catalogue import load_specs
from gauntlet.bootstrap.environment import COMPOSE, EMBEDDED, load_settings, reach_loopback_directly, stack_form
from gauntlet.bootstrap.stack import compose_stack, stack, start_stack
from gauntlet.bootstrap.wiring import code_version, database_url, ledger
from gauntlet.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gauntlet.jobs.backup import Manifest, Origin
    from gauntlet.jobs.prune import Logs, Pruned
    from gauntlet.jobs.stack import Say
    from gauntlet.jobs.upkeep import Files, Programs
    from gauntlet.settings import Settings

NOT_RUNNING = "The stack must run for this; it does not. Start it: {}"


@dataclass(frozen=True)
class Site:
    """What upkeep needs of a stack of either form; `emptying` says how its user makes it an empty one."""

    form: str
    superuser_url: str
    mlflow_database_url: str
    programs: Programs
    objects: Files
    artifacts: Files
    logs: Logs
    pause: Callable[[Say], None]
    emptying: str

    def origin(self) -> Origin:
        """Return what a backup must know of this stack."""
        from gauntlet.adapters.versions import origin

        return origin(self.superuser_url, self.form, code_version(), self.objects.root)


@dataclass(frozen=True)
class _Services:
    site: Site
    say: Say

    def pause(self) -> None:
        self.site.pause(self.say)

    def resume(self) -> None:
        start_stack(self.say)


def back_up(path: Path, *, force: bool, say: Say) -> Manifest:
    """Write a backup of the stack into a file; raises BackupError, StackError or ServiceAway when it cannot."""
    from gauntlet.adapters.archive import new_archive
    from gauntlet.adapters.dumps import SqlDumps
    from gauntlet.jobs import backup

    settings = load_settings()
    site = _site(settings)
    origin = site.origin()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with new_archive(path, force=force) as archive:
        dumps = SqlDumps(site.programs, path.parent)
        return backup.back_up(archive, origin, dumps, site.objects, site.artifacts, _aliases_still(settings), now, say)


def restore(path: Path, say: Say) -> None:
    """Restore a backup into the stack, which must run and be empty; raises BackupError otherwise."""
    from gauntlet.adapters.archive import ArchiveReader
    from gauntlet.adapters.dumps import SqlDumps
    from gauntlet.adapters.standby import PostgresStandby
    from gauntlet.adapters.versions import known_revisions
    from gauntlet.jobs import backup

    site = _site(load_settings())
    standby = PostgresStandby(site.superuser_url)
    with standby.alone():
        backup.restore(
            ArchiveReader(path), site.origin(), known_revisions(), SqlDumps(site.programs, path.parent), site.objects,
            site.artifacts, standby, _Services(site, say), site.emptying, say,
        )  # fmt: skip


def prune(days: int, *, dry_run: bool, say: Say) -> Pruned:
    """Remove what is older than so many days and named by nobody; with `dry_run` only say what that is."""
    from gauntlet.adapters.ledger_names import LedgerNames
    from gauntlet.adapters.mlflow_runs import MlflowRuns
    from gauntlet.jobs import prune as job

    settings = load_settings()
    site = _site(settings)
    settings.require("mlflow_tracking_uri")
    runs = MlflowRuns(str(settings.mlflow_tracking_uri), site.mlflow_database_url)
    names = LedgerNames(database_url(settings))
    stores = job.Stores(site.objects, site.artifacts, names, runs, runs, site.logs)
    return job.prune(stores, datetime.now(UTC) - timedelta(days=days), dry_run=dry_run, say=say)


@contextmanager
def _aliases_still(settings: Settings) -> Iterator[None]:
    """Let nobody move an alias of any spec; a promotion waits for the dumps."""
    known = ledger(settings)
    specs = {*load_specs(settings)[0], *known.champions()}
    with ExitStack() as held:
        for spec in sorted(specs):
            held.enter_context(known.lock(spec, "aliases"))
        yield


def _site(settings: Settings) -> Site:
    stack()  # refuses in a container
    reach_loopback_directly()
    return _containers(settings) if stack_form() == COMPOSE else _embedded(settings)


def _embedded(settings: Settings) -> Site:
    from gauntlet.adapters.local_store import LocalStore
    from gauntlet.embedded import dump
    from gauntlet.embedded.config import load_config
    from gauntlet.embedded.environment import database_url as address
    from gauntlet.embedded.layout import Layout
    from gauntlet.embedded.secrets import load_or_create

    home = settings.gauntlet_home
    config = load_config(home)
    if config is None:
        raise SettingsError([NOT_RUNNING.format("gauntlet up")])
    layout, secrets = Layout.of(home), load_or_create(home)
    return Site(
        form=EMBEDDED,
        superuser_url=address(config, "postgres", secrets.postgres, "postgres"),
        mlflow_database_url=address(config, "mlflow", secrets.mlflow, "mlflow"),
        programs=dump.programs(config, secrets),
        objects=_objects(settings),
        artifacts=LocalStore(layout.artifacts),
        logs=dump.TaskLogs(layout.logs / "tasks"),
        pause=lambda say: dump.pause(home, say),
        emptying="move its state folder away or remove it (make clean), then: gauntlet up, and gauntlet restore again.",
    )


def _containers(settings: Settings) -> Site:
    from gauntlet.adapters.objects import open_store
    from gauntlet.compose import dump

    settings.require_for("This command", "postgres_password", "mlflow_db_password")
    containers = compose_stack()
    if not any(each.service == "postgres" and each.state == "running" for each in containers.docker.containers()):
        raise SettingsError([NOT_RUNNING.format(containers.start_command)])
    place = f"{settings.postgres_host}:{settings.postgres_port}"
    return Site(
        form=COMPOSE,
        superuser_url=f"postgresql://postgres:{settings.secret('postgres_password')}@{place}/postgres",
        mlflow_database_url=f"postgresql://mlflow:{settings.secret('mlflow_db_password')}@{place}/mlflow",
        programs=dump.programs(containers.docker),
        objects=_objects(settings),
        artifacts=open_store(f"s3://{settings.mlflow_bucket}", **_s3(settings)),
        logs=dump.TaskLogs(containers.docker),
        pause=lambda say: dump.pause(containers, say),
        emptying="docker compose down -v, docker compose up -d, then gauntlet restore again.",
    )


def _objects(settings: Settings) -> Files:
    from gauntlet.adapters.objects import open_store

    settings.require("object_store")
    return open_store(str(settings.object_store), **_s3(settings))


def _s3(settings: Settings) -> dict[str, str | None]:
    secret = settings.aws_secret_access_key
    return {
        "endpoint": settings.mlflow_s3_endpoint_url,
        "key_id": settings.aws_access_key_id,
        "secret": secret.get_secret_value() if secret else None,
        "region": settings.aws_default_region,
    }
