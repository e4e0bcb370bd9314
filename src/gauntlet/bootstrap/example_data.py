"""Example files of a spec, made from its own data: into a folder, or where the pipelines look for files."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gauntlet.bootstrap.catalogue import load_spec
from gauntlet.bootstrap.environment import ROOT, load_settings, reach_loopback_directly
from gauntlet.domain.errors import Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from gauntlet.domain.example_data import Example
    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.make_data import Made, Order
    from gauntlet.jobs.mart_port import BatchKind
    from gauntlet.jobs.upkeep import Files
    from gauntlet.settings import Settings


class WouldReplace(Final):
    """A file of the name is there, and holds something else."""


class NoPackage(Final):
    """A spec's data lies in a package that is not installed."""


class NoFolder(Final):
    """Files shall go where no folder can be."""


@dataclass(frozen=True)
class ExampleFile:
    """A file that was made; `place` is its path or URI; `is_new` is false where the very same file was there."""

    kind: BatchKind
    place: str
    made: Made
    is_new: bool


@dataclass(frozen=True)
class _Target:
    """Where files go: a store, the folder of the kind in it, and a folder with room for a file on its way."""

    files: Files
    key: Callable[[BatchKind], str]
    place: Callable[[str], str]
    scratch: Path


def make_data(
    spec_name: str | None,
    wanted: tuple[int, int, float],
    folder: Path | None,
    *,
    force: bool,
    doing: Callable[[str], None],
) -> list[ExampleFile]:
    """Make a file to train on and one to predict, in `folder` or, for None, in the object store of the stack.

    `wanted` is the number of rows of each, the seed, and the share of rows that break the spec. Raises WouldReplace,
    unless `force`, before a file of another content is replaced.
    """
    from gauntlet.adapters.tables import read_table
    from gauntlet.domain.example_data import Example
    from gauntlet.jobs.make_data import Order
    from gauntlet.jobs.mart_port import BatchKind

    settings = load_settings()
    spec = load_spec(settings, spec_name)
    order = Order(*wanted)
    target = _store(settings, spec, order) if folder is None else _folder(folder, order)
    doing(f"reading {spec.data}")
    example = Example.of(read_table(data_file(settings, spec)), spec)
    return [_make(target, example, order, kind, doing, force=force) for kind in BatchKind]


def data_file(settings: Settings, spec: Spec) -> Path:
    """Return the file with a spec's rows, as the router finds it: DATA_FILE, a file of a package, or a path."""
    if spec.name == settings.default_spec and settings.data_file is not None:
        return settings.data_file
    package, colon, inside = spec.data.partition(":")
    if not colon:
        return ROOT / spec.data
    found = importlib.util.find_spec(package)  # a top-level package is not imported by that
    if found is None or not found.submodule_search_locations:
        raise NoPackage(f"data must name a file in an installed package; found no package {package}. Install it.")
    return Path(found.submodule_search_locations[0], inside)


def _store(settings: Settings, spec: Spec, order: Order) -> _Target:
    from gauntlet.bootstrap.wiring import object_store
    from gauntlet.jobs.inbox import DATA

    reach_loopback_directly()
    files = object_store(settings)
    return _Target(
        files=files,
        key=lambda kind: f"{DATA}/{spec.name}/{kind}/{order.name(kind)}",
        place=lambda key: f"{files.root}/{key}",
        scratch=settings.scratch_dir,
    )


def _folder(folder: Path, order: Order) -> _Target:
    from gauntlet.adapters.local_store import LocalStore

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = f"{folder} cannot be made: {error.strerror}"
        raise NoFolder(f"files must go into a folder; {found}. Name another folder.") from None
    return _Target(files=LocalStore(folder), key=order.name, place=lambda key: str(folder / key), scratch=folder)


def _make(
    target: _Target, example: Example, order: Order, kind: BatchKind, doing: Callable[[str], None], *, force: bool
) -> ExampleFile:
    from gauntlet.jobs.inbox import scratch_file
    from gauntlet.jobs.make_data import write_example
    from gauntlet.jobs.upkeep import sha256_left

    key = target.key(kind)
    place = target.place(key)
    with scratch_file(target.scratch) as file:
        made = write_example(
            file, example, order, kind, lambda rows: doing(f"{order.name(kind)}: {rows:,} of {order.rows:,} rows")
        )
        with target.files.open(key) as opened:
            found = None if opened is None else sha256_left(opened.stream)
        if found not in (None, made.sha256) and not force:
            raise WouldReplace(
                f"a file of this name must be the same or not there; {place} holds something else. "
                "Replace it with --force, or name another folder."
            )
        if found != made.sha256:
            target.files.write(key, file)
    return ExampleFile(kind, place, made, found != made.sha256)
