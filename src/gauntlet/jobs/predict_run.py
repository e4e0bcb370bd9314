"""One run of the prediction over several files: which files it takes, what it tells of them, and its summary."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gauntlet.domain.errors import Final
from gauntlet.jobs.mart_port import Batch, InputFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_FILES = 500
"""A run takes so many files at most, the oldest first: each is a task, and Airflow plans them all at once."""

SHOWN = 20
"""How many files a text or an event names."""


class FilesFailed(Final):
    """Some files of a run could not be scored; each one's own task says why."""


@dataclass(frozen=True)
class Found:
    """The files that a run scores, and how many wait for the next one."""

    files: Sequence[InputFile]
    rest: int


@dataclass(frozen=True)
class Told:
    """What a run tells of its new scores; `rest` files wait for another run."""

    event: Mapping[str, Any]
    rest: int


def take(files: Sequence[InputFile], interval: tuple[datetime, datetime] | None) -> Found:
    """Return the first files whose time lies in the interval (its end excluded; None: any), and how many are left."""
    fitting = [file for file in files if interval is None or interval[0] <= file.time < interval[1]]
    return Found(fitting[:MAX_FILES], max(0, len(fitting) - MAX_FILES))


def file_to_dict(file: InputFile) -> dict[str, Any]:
    """Return a file as JSON values."""
    return {**dataclasses.asdict(file), "time": file.time.isoformat()}


def file_from_dict(data: Mapping[str, Any]) -> InputFile:
    """Return the file that `file_to_dict` wrote."""
    return InputFile(**{**data, "time": datetime.fromisoformat(data["time"])})


def outcome(batch: Batch, file: InputFile, run_key: str) -> dict[str, Any]:
    """Return what became of a file, as JSON values; it is new when this run has loaded it.

    The batch may have been made of another file of the same content.
    """
    return {
        "batch": batch.id,
        "uri": file.uri,
        "output_uri": batch.output_uri,
        "accepted": batch.accepted,
        "rejected": batch.rejected,
        "new": batch.run_key == run_key,
    }


def told(chosen: Mapping[str, Any], scored: Sequence[Mapping[str, Any]], rest: int) -> Told | None:
    """Return what is to be told of a run's new scores; None when it has made none."""
    new = _new(scored)
    if not new:
        return None
    event = {
        "version": chosen["version"],
        "batches": [one["batch"] for one in new],
        "rows": sum(one["accepted"] for one in new),
        "files": [one["output_uri"] for one in new[:SHOWN]],
    }
    return Told(event, rest)


def summary_line(
    chosen: Mapping[str, Any] | None,
    found: Sequence[Mapping[str, Any]] | None,
    scored: Sequence[Mapping[str, Any]],
    rest: int,
) -> str:
    """Return what a run did, in one line; FilesFailed, with that line, when a file or a step before it failed.

    `chosen` and `found` are None where their step failed, `scored` has what became of each file that did not fail.
    """
    if chosen is None or found is None:
        step = "choose_model" if chosen is None else "find_files"
        raise FilesFailed(f"A run needs a version and files; {step} failed. Its log says why.")
    who = f"v{chosen['version']} ({chosen['rule']})"
    if not found:
        return f"nothing new for {who}."
    line = f"{who}: {_scored(scored)}{_waiting(rest)}"
    uris = {one["uri"] for one in scored}
    failed = [file["uri"] for file in found if file["uri"] not in uris]
    if failed:
        shown = ", ".join(failed[:SHOWN]) + (" and more" if len(failed) > SHOWN else "")
        raise FilesFailed(f"{line} {len(failed)} of {_files(len(found))} failed: {shown}. The log of each says why.")
    return line


def _scored(scored: Sequence[Mapping[str, Any]]) -> str:
    new = _new(scored)
    rows, rejected = sum(one["accepted"] for one in new), sum(one["rejected"] for one in new)
    known = len(scored) - len(new)
    before = f", {known} scored before" if known else ""
    out = f", {rejected:,} rows rejected" if rejected else ""
    return f"{_files(len(new))} scored{before}, {rows:,} rows{out}."


def _new(scored: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The batches that the run has made, each once: two of its files may have one content."""
    return list({one["batch"]: one for one in scored if one["new"]}.values())


def _waiting(rest: int) -> str:
    return f" For the next run: {_files(rest)}." if rest else ""


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"
