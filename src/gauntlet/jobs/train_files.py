"""Training from files: what is new is taken in, fixed for the run, and recorded when the verdict is there."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gauntlet.jobs.file_traffic import FileTraffic, ReadyFile, ready_files, usable
from gauntlet.jobs.flow import Outcome, Step
from gauntlet.jobs.inbox import inbox, named
from gauntlet.jobs.mart_port import Batch, BatchKind, BatchStatus, InputFile, Mart
from gauntlet.jobs.predictor import predictor
from gauntlet.jobs.production import require_version
from gauntlet.jobs.run import Ports, Refused, Results, Run, StepFunction, StepResult
from gauntlet.jobs.scoring import require_same_problem
from gauntlet.jobs.snapshot import require_same_spec
from gauntlet.jobs.take_in import Taker
from gauntlet.jobs.upkeep import Files

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainPorts(Ports):
    """The services of a run that trains from files: the store's files, the marts, and a folder to work in."""

    files: Files
    mart: Mart
    scratch: Path


@dataclass(frozen=True, kw_only=True)
class TrainRun(Run):
    """A run that trains from files; with `uri` it looks at that file alone. `share` is that of the A/B pool."""

    share: float
    uri: str | None = None


TrainStep = Callable[[TrainRun, TrainPorts, Results], StepResult]


def prepare_data(run: TrainRun, ports: TrainPorts, _: Results) -> StepResult:
    """Take in the files that are new and say what there is to train on.

    Refused when every new file was refused, unless older ones wait to be trained on and no file was named.

    The result names every batch that the run trains on, oldest data first: later steps read these and no others.
    """
    spec, mart = run.spec, ports.mart
    _require_problem_of_champion(run, ports)
    mart.prepare(spec)
    wanted = _wanted(run, ports)
    taker = Taker(spec, run.key, run.code_version, run.share, ports.files, mart, ports.scratch)
    for file in wanted:
        taker.take_in(file)
    everything = [*reversed(mart.batches(spec.name, BatchKind.TRAIN, None))]
    own = [batch for batch in everything if batch.run_key == run.key]  # also those of a try that was killed
    taken, refused = ([each for each in own if each.status is status] for status in BatchStatus)
    done = sorted(
        (each for each in everything if each.status is BatchStatus.DONE), key=lambda each: (each.data_time, each.id)
    )
    news = _news(run, ports, done)
    other_rows_wait = run.uri is None and news["new_rows"]
    if refused and not taken and len(refused) >= len(wanted) and not other_rows_wait:
        raise Refused("\n".join(["every new file was refused:", *(f"  {each.reason}" for each in refused)]))
    return StepResult(data={**news, **_files_of(taken, refused)})


def _require_problem_of_champion(run: TrainRun, ports: TrainPorts) -> None:
    """Refuse a spec that the gate would refuse in the end, before anything is made for it."""
    production = ports.ledger.production(run.spec.name)
    champion = ports.ledger.version(run.spec.name, production.version) if production else None
    if champion is not None:
        require_same_problem(champion, run.spec)


def check_new_data(run: TrainRun, _: TrainPorts, results: Results) -> StepResult:
    """Choose: new rows are trained on, and all rows again where the run is forced; else the run ends."""
    prepared = results[Step.PREPARE_DATA]
    if prepared["new_rows"]:
        return StepResult(Outcome.NEW_DATA)
    if not run.force_retrain:
        return StepResult(Outcome.NOTHING_NEW)
    if not prepared["ready"]:
        folder = f"data/{run.spec.name}/train"
        raise Refused(f"a forced training must have rows; no file was ever taken in. Put one into {folder}.")
    return StepResult(Outcome.FORCED)


def on_files(step: StepFunction) -> TrainStep:
    """Return a step of the main flow with the run's files as its traffic."""

    def run_step(run: TrainRun, ports: TrainPorts, results: Results) -> StepResult:
        require_same_spec(run, results, Step.PREPARE_DATA)
        files = list(ready_files(results[Step.PREPARE_DATA]["ready"]))
        return step(run, replace(ports, traffic=FileTraffic(ports.store, run.spec, files, run.share)), results)

    return run_step


def record_training(run: TrainRun, ports: TrainPorts, results: Results) -> StepResult:
    """Record which batches went into the version, whatever the verdict; done again, nothing happens.

    A run that was cleared and begun anew keeps the version it had: nothing is recorded if that had other rows.
    """
    trained = results.get(Step.TRAIN_NEW_MODEL) or results[Step.TRAIN_INITIAL_MODEL]
    version = require_version(ports, run.spec.name, trained["version"])
    if version.snapshot.sha256 != results[Step.TAKE_SNAPSHOT]["sha256"]:
        log.warning("v%d was trained by an earlier try of this run, on other rows", version.version)
        return StepResult(data={"version": version.version, "batches": 0})
    numbers = [file.batch for file in ready_files(results[Step.PREPARE_DATA]["ready"])]
    ports.mart.describe(predictor(ports.ledger, version))
    ports.mart.record_training(run.spec.name, version.version, numbers)
    return StepResult(data={"version": version.version, "batches": len(numbers)})


def _wanted(run: TrainRun, ports: TrainPorts) -> list[InputFile]:
    """The files to look at: the one that was named, else those that nobody has looked at yet."""
    if run.uri:
        return [named(ports.files, run.uri)]
    seen = set(ports.mart.seen(run.spec.name, BatchKind.TRAIN, None))
    files = inbox(ports.files, run.spec.name, BatchKind.TRAIN)
    return [file for file in files if (file.uri, file.mark) not in seen]


def _news(run: TrainRun, ports: TrainPorts, done: Sequence[Batch]) -> dict[str, Any]:
    """What can be trained on, and how many rows of it no version has been trained on."""
    untrained = {batch.id for batch in ports.mart.untrained(run.spec.name)}
    good = [batch for batch in done if usable(batch, run.spec)]
    known = [ReadyFile.of(batch) for batch in good if batch.id not in untrained]
    files = [ReadyFile.of(batch) for batch in good]
    new_rows = FileTraffic(ports.store, run.spec, files, run.share).new_rows(known)
    return {
        "spec": run.spec.to_json(),
        "ready": [file.to_dict() for file in files],
        "newest": good[-1].uri if good else None,
        "unusable": len(done) - len(good),
        "new_files": len(files) - len(known),
        "new_rows": new_rows,
    }


def _files_of(taken: Sequence[Batch], refused: Sequence[Batch]) -> dict[str, Any]:
    """What became of the files that this run looked at."""
    return {
        "taken": [{"batch": each.id, "uri": each.uri, "sha256": each.sha256} for each in taken],
        "read": sum(each.read for each in taken),
        "accepted": sum(each.accepted for each in taken),
        "rejected": sum(each.rejected for each in taken),
        "refused": [{"uri": each.uri, "reason": each.reason} for each in refused],
    }
