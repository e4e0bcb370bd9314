"""Pruning: what is past its age and named by neither the ledger, the registry nor the marts goes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Protocol

from gauntlet.jobs.stack import Say
from gauntlet.jobs.upkeep import Files, Item, is_task_log, is_users_file, readable


@dataclass(frozen=True)
class OldRun:
    """A run of ours in MLflow: its parent, when it ended (None: it goes on), and the folder of its artifacts."""

    run_id: str
    parent: str | None
    ended: datetime | None
    folder: str | None


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run logged, registered or not, and the folder of its files."""

    model_id: str
    run_id: str
    folder: str | None


@dataclass(frozen=True)
class Named:
    """What must stay: names of objects, runs, and logged models."""

    objects: frozenset[str]
    runs: frozenset[str]
    models: frozenset[str]

    def __or__(self, other: Named) -> Named:
        return Named(self.objects | other.objects, self.runs | other.runs, self.models | other.models)


class Names(Protocol):
    """The ledger, or the registry, as far as it names things."""

    def named(self) -> Named:
        """Everything that it names, and that has to stay therefore."""
        ...


@dataclass(frozen=True)
class AllNames:
    """Several that name things, as one."""

    parts: Sequence[Names]

    def named(self) -> Named:
        """Return what any of them names."""
        return reduce(or_, (part.named() for part in self.parts))


class Runs(Protocol):
    """MLflow's runs and logged models."""

    def ours(self) -> Sequence[OldRun]:
        """Every run that this product made, those that a person has deleted in MLflow's page as well."""
        ...

    def models(self, runs: Collection[str]) -> Sequence[LoggedModel]:
        """The models that these runs logged."""
        ...

    def remove(self, runs: Sequence[OldRun], models: Sequence[LoggedModel]) -> None:
        """Remove the rows of runs and models for ever, except those that a registered version names by now."""
        ...


class Logs(Protocol):
    """The log files of Airflow's tasks on the stack's own disk; others lie in the object store."""

    def old(self, before: datetime) -> Sequence[Item]:
        """The files last written before a time."""
        ...

    def delete(self, before: datetime) -> None:
        """Delete them."""
        ...


@dataclass(frozen=True)
class Stores:
    """All that is pruned, and all that names what must stay."""

    objects: Files
    artifacts: Files
    ledger: Names
    registry: Names
    marts: Names
    runs: Runs
    logs: Logs


@dataclass(frozen=True)
class Pruned:
    """What went, or would go: what each was, and its bytes, by kind."""

    things: Mapping[str, Mapping[str, int]]


def prune(stores: Stores, before: datetime, *, dry_run: bool, say: Say) -> Pruned:
    """Remove what is older than `before` and named by nobody; safe while runs go on, twice and at once.

    Things are listed before the names are read: what is put meanwhile is new, and what is named meanwhile was put anew
    by the run that names it, which is looked at once more at the moment of deleting.
    """
    items = [item for item in stores.objects.items() if item.modified < before and not is_users_file(item)]
    runs = stores.runs.ours()
    named = stores.ledger.named() | stores.registry.named() | stores.marts.named()
    old_objects = unnamed((item for item in items if not is_task_log(item)), named.objects)
    stored_logs = [item for item in items if is_task_log(item)]
    old_runs = removable(runs, named.runs, before)
    models = stores.runs.models({run.run_id for run in old_runs})
    old_models = [model for model in models if model.model_id not in named.models]
    logs = [*stores.logs.old(before), *stored_logs]
    found = Pruned(
        {
            "objects": {item.key: item.size for item in old_objects},
            "runs": {run.run_id: _size(stores.artifacts, run.folder) for run in old_runs},
            "models that no version names": {
                model.model_id: _size(stores.artifacts, model.folder) for model in old_models
            },
            "task logs": {item.key: item.size for item in logs},
        }
    )
    if not dry_run:
        _remove(stores, before, [*old_objects, *stored_logs], old_runs, old_models)
    for kind, things in found.things.items():
        say(f"{kind:<30} {len(things):>6}  {readable(sum(things.values())):>10}")
    return found


def unnamed(items: Iterable[Item], named: Collection[str]) -> list[Item]:
    """Return the objects that nobody names.

    Names are compared without their folders: an object is named by its content, and a store that was moved keeps its
    files while the rows still say where they lay before.
    """
    return [item for item in items if item.key.rpartition("/")[2] not in named]


def removable(runs: Sequence[OldRun], named: Set[str], before: datetime) -> list[OldRun]:
    """Return the runs whose whole family, parents and children, ended before that time and is named by nobody."""
    family = {run.run_id: {run.run_id} for run in runs}
    for run in runs:
        if run.parent in family:
            joined = family[run.run_id] | family[run.parent]
            family |= dict.fromkeys(joined, joined)
    past = {run.run_id for run in runs if _past(run, named, before)}
    return [run for run in runs if family[run.run_id] <= past]


def _past(run: OldRun, named: Set[str], before: datetime) -> bool:
    return run.ended is not None and run.ended < before and not {run.run_id, run.parent} & named


def _size(files: Files, folder: str | None) -> int:
    return sum(item.size for item in files.items(folder)) if folder else 0


def _remove(
    stores: Stores, before: datetime, objects: Sequence[Item], runs: Sequence[OldRun], models: Sequence[LoggedModel]
) -> None:
    """Files first: a prune that is cut off finds the rows again, and with them the files that are left."""
    for item in objects:
        stores.objects.delete(item.key, before)
    now = stores.registry.named()  # once more: a person may have registered a model of an old run meanwhile
    runs = [run for run in runs if run.run_id not in now.runs]
    models = [model for model in models if model.model_id not in now.models]
    for folder in [*(run.folder for run in runs), *(model.folder for model in models)]:
        if folder:
            stores.artifacts.delete_folder(folder)
    stores.runs.remove(runs, models)
    stores.logs.delete(before)
