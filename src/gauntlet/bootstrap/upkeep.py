"""Backup, restore and prune of the stack that commands work with."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gauntlet.bootstrap.catalogue import load_specs
from gauntlet.bootstrap.environment import COMPOSE, EMBEDDED, load_settings, reach_loopback_directly, stack_form
from gauntlet.bootstrap.marts import mart_url
from gauntlet.bootstrap.stack import compose_stack, stack, start_stack
from gauntlet.bootstrap.wiring import code_version, database_url, ledger, object_store
from gauntlet.jobs.ports import ServiceAway
from gauntlet.jobs.stack import SUPERUSER
from gauntlet.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from gauntlet.jobs.backup import Parts
    from gauntlet.jobs.manifest import Manifest, Origin
    from gauntlet.jobs.prune import Logs, Pruned
    from gauntlet.jobs.stack import Say
    from gauntlet.jobs.upkeep import Files, Programs
    from gauntlet.settings import Settings

NOT_RUNNING = "The stack must run for this; it does not. Start it: {}"


@dataclass(frozen=True)
class Site:
    """What upkeep needs of a stack of either form.

    `urls`: the database address of each role. `emptying` says how its user makes it an empty one.
    """

    form: str
    settings: Settings
    urls: Mapping[str, str]
    programs: Programs
    objects: Files
    artifacts: Files
    logs: Logs
    pause: Callable[[Say], None]
    emptying: str

    def origin(self) -> Origin:
        """Return what a backup must know of this stack."""
        from gauntlet.adapters.versions import origin

        self.settings.require("airflow_url", "mlflow_tracking_uri")
        return origin(
            self.urls[SUPERUSER], str(self.settings.airflow_url), str(self.settings.mlflow_tracking_uri),
            form=self.form, product=code_version(), object_store=self.objects.root,
        )  # fmt: skip

    def parts(self, spool: Path) -> Parts:
        """Return what a backup of it is made of; dumps pass through the folder `spool`."""
        from gauntlet.adapters.dumps import SqlDumps
        from gauntlet.jobs.backup import Parts

        return Parts(self.objects, self.artifacts, SqlDumps(self.programs, spool))


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
    from gauntlet.adapters.ledger_names import LedgerNames
    from gauntlet.jobs import backup

    settings = load_settings()
    site = _site(settings)
    origin = site.origin()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with new_archive(path, force=force) as archive:
        parts, names = site.parts(path.parent), LedgerNames(database_url(settings))
        return backup.back_up(archive, origin, parts, _aliases_still(settings), names, now, say)


def restore(path: Path, say: Say) -> None:
    """Restore a backup into the stack, which must run and be empty; raises BackupError otherwise."""
    from gauntlet.adapters.archive import ArchiveReader
    from gauntlet.adapters.databases import known_revisions
    from gauntlet.adapters.standby import PostgresStandby
    from gauntlet.jobs import backup

    site = _site(load_settings())
    standby = PostgresStandby(site.urls)
    with standby.alone():
        target = backup.Target(_started(site, say), known_revisions(), site.emptying)
        parts, services = site.parts(path.parent), _Services(site, say)
        backup.restore(ArchiveReader(path), target, parts, standby, services, say)


def _started(site: Site, say: Say) -> Origin:
    """What the stack says of itself, after a start where services are away, as a restore that was killed leaves it."""
    try:
        return site.origin()
    except ServiceAway:
        say("not all services answer; starting them")
        start_stack(say)
        return site.origin()


def prune(days: int, *, dry_run: bool, say: Say) -> Pruned:
    """Remove what is older than so many days and named by nobody; with `dry_run` only say what that is."""
    from gauntlet.adapters.ledger_names import LedgerNames
    from gauntlet.adapters.marts.shelf import MartNames
    from gauntlet.adapters.mlflow_runs import MlflowRuns
    from gauntlet.jobs import prune as job

    settings = load_settings()
    site = _site(settings)
    settings.require("mlflow_tracking_uri")
    runs = MlflowRuns(str(settings.mlflow_tracking_uri), site.urls["mlflow"])
    names = LedgerNames(database_url(settings))
    # those in the ledger's database as well: they stay there when MART_DATABASE_URL comes to name another
    marts = job.AllNames([MartNames(url) for url in dict.fromkeys([mart_url(settings), database_url(settings)])])
    stores = job.Stores(site.objects, site.artifacts, names, runs, marts, runs, site.logs)
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
    from gauntlet.embedded.checks import login_urls
    from gauntlet.embedded.config import load_config
    from gauntlet.embedded.layout import Layout
    from gauntlet.embedded.secrets import load_or_create

    home = settings.gauntlet_home
    config = load_config(home)
    if config is None:
        raise SettingsError([NOT_RUNNING.format("gauntlet up")])
    layout, secrets = Layout.of(home), load_or_create(home)
    return Site(
        form=EMBEDDED,
        settings=settings,
        urls=login_urls(config, home),
        programs=dump.programs(config, secrets),
        objects=object_store(settings),
        artifacts=LocalStore(layout.artifacts),
        logs=dump.TaskLogs(layout.logs / "tasks"),
        pause=lambda say: dump.pause(home, say),
        emptying="move its state folder away or remove it (make clean), then: gauntlet up, and gauntlet restore again.",
    )


def _containers(settings: Settings) -> Site:
    from gauntlet.compose import dump
    from gauntlet.compose.environment import login_urls
    from gauntlet.compose.project import POSTGRES

    settings.require_for("This command", "postgres_password", "mlflow_db_password")
    containers = compose_stack()
    if not dump.runs(containers.docker, POSTGRES):
        raise SettingsError([NOT_RUNNING.format(containers.start_command)])
    return Site(
        form=COMPOSE,
        settings=settings,
        urls=login_urls(containers.docker.env),
        programs=dump.programs(containers.docker),
        objects=object_store(settings),
        artifacts=object_store(settings, f"s3://{settings.mlflow_bucket}"),
        logs=dump.TaskLogs(containers.docker),
        pause=lambda say: dump.pause(containers, say),
        emptying="docker compose down -v, docker compose up -d, then gauntlet restore again.",
    )
