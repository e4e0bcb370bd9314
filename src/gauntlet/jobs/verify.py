"""The marts against the files they were made of, the models that scored, and the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gauntlet.jobs.audit_port import AuditError, AuditPorts, Check, RowCounts, kept_file, output_key
from gauntlet.jobs.inbox import DATA, fetched, opened_parquet, uri_of
from gauntlet.jobs.mart_port import Batch, BatchKind, BatchStatus, InputFile, Predictor
from gauntlet.jobs.ports import StoreError
from gauntlet.jobs.run import Refused
from gauntlet.jobs.upkeep import sha256_left

SHOWN = 10
"""So many faults of a check are named; the rest are counted."""

RESTORE = "Restore the files from a backup; `gauntlet reproduce BATCH` says whether the rows are still right."
LOAD_ANEW = "Restore the marts from a backup, or remove the batch's rows and score its file again."

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Marts:
    """What the marts hold of one spec, read once."""

    spec: str
    batches: tuple[Batch, ...]
    counts: Mapping[int, RowCounts]
    predictors: Mapping[int, Predictor]

    @property
    def predictions(self) -> tuple[Batch, ...]:
        """The batches that were scored."""
        return tuple(batch for batch in self.batches if batch.kind is BatchKind.PREDICT)


def verify(ports: AuditPorts, spec: str | None, scratch: Path, doing: Say) -> Mapping[str, tuple[Check, ...]]:
    """Return the checks of one spec, or of every spec that the marts know; AuditError for one they do not know."""
    known = ports.audit.specs()
    if spec is not None and spec not in known:
        raise AuditError(
            f"the marts must know a spec to be verified; {spec} is not among {', '.join(known) or 'none'}. Score or "
            "train from a file of it first."
        )
    return {name: _checks(ports, name, scratch, doing) for name in ([spec] if spec else known)}


def _checks(ports: AuditPorts, spec: str, scratch: Path, doing: Say) -> tuple[Check, ...]:
    doing(f"{spec}: counting rows")
    before, found, after = _batches(ports, spec), ports.audit.counts(spec), _batches(ports, spec)
    meanwhile = before.keys() ^ after.keys()  # what came or went while rows were counted
    marts = _Marts(
        spec=spec,
        batches=tuple(batch for number, batch in sorted(before.items()) if number not in meanwhile),
        counts={one.batch: one for one in found if one.batch not in meanwhile},
        predictors={one.version: one for one in ports.audit.predictors(spec)},
    )
    return (
        *_row_checks(marts),
        *_model_checks(ports, marts, doing),
        _inputs(ports, marts, doing),
        _outputs(ports, marts, scratch, doing),
        _unnamed(ports, marts),
    )


def _batches(ports: AuditPorts, spec: str) -> dict[int, Batch]:
    """Return the batches that are done, by number."""
    return {one.id: one for one in ports.mart.batches(spec, None, None) if one.status is BatchStatus.DONE}


def _row_checks(marts: _Marts) -> tuple[Check, ...]:
    known = {batch.id for batch in marts.batches}
    strays = [one for number, one in sorted(marts.counts.items()) if number not in known]
    named = [(batch, marts.counts.get(batch.id, RowCounts(batch.id))) for batch in marts.batches]
    return (
        _check(
            "every batch has as many rows as it says",
            (fault for batch, one in named for fault in _miscounted(batch, one)),
            LOAD_ANEW,
        ),
        _check(
            "every row belongs to a batch",
            (f"batch {one.batch}: {one.inputs} input, {one.outputs} output, {one.rejected} rejected" for one in strays),
            "Delete these rows; no batch of the marts accounts for them.",
        ),
        _check(
            "every prediction has its input row, and every input row its prediction",
            (fault for batch, one in named if batch.kind is BatchKind.PREDICT for fault in _halves(one)),
            LOAD_ANEW,
        ),
        _check(
            "no row id is there twice in a batch",
            (f"batch {one.batch}: {one.doubled} rows" for _, one in named if one.doubled),
            LOAD_ANEW,
        ),
    )


def _miscounted(batch: Batch, found: RowCounts) -> Iterable[str]:
    expected = [("input rows", found.inputs, batch.accepted), ("rejected rows", found.rejected, batch.rejected)]
    if batch.kind is BatchKind.PREDICT:
        expected.append(("output rows", found.outputs, batch.accepted))
    for name, count, said in expected:
        if count != said:
            yield f"batch {batch.id}: {count} {name}, {said} by its line in mart.batch"
    if batch.read != batch.accepted + batch.rejected:
        yield f"batch {batch.id}: {batch.read} rows read, {batch.accepted} accepted and {batch.rejected} rejected"


def _halves(found: RowCounts) -> Iterable[str]:
    if found.bare_outputs or found.bare_inputs or found.other_ids:
        yield (
            f"batch {found.batch}: {found.bare_outputs} without input, {found.bare_inputs} without output, "
            f"{found.other_ids} with another row id"
        )


def _model_checks(ports: AuditPorts, marts: _Marts, doing: Say) -> tuple[Check, ...]:
    doing(f"{marts.spec}: fetching models")
    unnamed = [one for one in marts.predictions if one.version not in marts.predictors]
    return (
        _check(
            "every scored batch names a model",
            (f"batch {batch.id}: v{batch.version} is not in mart.model" for batch in unnamed),
            "Restore mart.model from a backup.",
        ),
        _check(
            "mart.model says what the ledger says",
            (fault for one in marts.predictors.values() for fault in _unlike_ledger(ports, one)),
            "The ledger is right: correct the line in mart.model, or restore the marts from a backup.",
        ),
        _check(
            "every model's file has the SHA-256 kept at registration",
            (fault for number in sorted(marts.predictors) for fault in _model_file(ports, marts.spec, number)),
            "Restore the model from a backup; until then nothing can be scored or reproduced with it.",
        ),
    )


def _unlike_ledger(ports: AuditPorts, known: Predictor) -> Iterable[str]:
    version = ports.ledger.version(known.spec, known.version)
    if version is None:
        yield f"v{known.version} is not in the ledger"
        return
    pairs: dict[str, tuple[object, object]] = {
        "model": (known.model, version.model),
        "run_id": (known.run_id, version.run_id),
        "recipe": (known.recipe, version.recipe),
        "model_sha256": (known.model_sha256, version.model_sha256),
        "snapshot_uri": (known.snapshot_uri, version.snapshot.uri),
        "snapshot_sha256": (known.snapshot_sha256, version.snapshot.sha256),
    }
    if known.decision_id is not None:
        dossier = ports.ledger.entry(known.decision_id)
        pairs["verdict"] = (known.verdict, dossier.entry.verdict if dossier else None)
        pairs["verdict's challenger"] = (known.version, dossier.entry.challenger if dossier else None)
    for name, (said, right) in pairs.items():
        if said != right:
            yield f"v{known.version}: {name} is {said}, in the ledger {right}"


def _model_file(ports: AuditPorts, spec: str, number: int) -> Iterable[str]:
    version = ports.ledger.version(spec, number)
    if version is None:
        return
    try:
        ports.registry.model_bytes(version)
    except StoreError as error:
        yield f"v{number}: {error}"


def _inputs(ports: AuditPorts, marts: _Marts, doing: Say) -> Check:
    faults: list[str] = []
    files = {batch.sha256: batch for batch in marts.batches}
    for place, batch in enumerate(files.values(), 1):
        doing(f"{marts.spec}: hashing input {place} of {len(files)}")
        found = _sha256(ports, kept_file(batch).key)
        if found != batch.sha256:
            faults.append(f"batch {batch.id}: {batch.kept_uri} {f'has {found}' if found else 'is gone'}")
    return _check("every input is kept, with its SHA-256", faults, RESTORE)


def _sha256(ports: AuditPorts, key: str) -> str | None:
    with ports.files.open(key) as opened:
        return None if opened is None else sha256_left(opened.stream)


def _outputs(ports: AuditPorts, marts: _Marts, scratch: Path, doing: Say) -> Check:
    faults: list[str] = []
    for place, batch in enumerate(marts.batches, 1):
        doing(f"{marts.spec}: hashing file {place} of {len(marts.batches)} that was written")
        faults += [f"batch {batch.id}: {batch.output_uri} {fault}" for fault in _output(ports, batch, scratch)]
    remedy = "Restore them from a backup; scores are also in the marts, and `gauntlet reproduce BATCH` checks those."
    return _check("every file that was written has its SHA-256 and its rows", faults, remedy)


def _output(ports: AuditPorts, batch: Batch, scratch: Path) -> Iterable[str]:
    key = output_key(batch)
    file = InputFile(batch.output_uri or "", key, 0, "", batch.data_time)
    try:
        with fetched(ports.files, file, scratch) as copy:
            if copy.sha256 != batch.output_sha256:
                yield f"has the SHA-256 {copy.sha256}, not {batch.output_sha256}"
                return
            rows = opened_parquet(copy.data, file.uri).metadata.num_rows
    except Refused:
        yield "is gone"
        return
    if rows != batch.written:
        yield f"has {rows} rows, not {batch.written}"


def _unnamed(ports: AuditPorts, marts: _Marts) -> Check:
    folder = f"{DATA}/{marts.spec}/scores"
    there = [item.key for item in ports.files.items(folder)]
    named = {output_key(batch) for batch in _batches(ports, marts.spec).values()}  # now: later than the files
    strays = [key for key in there if key not in named]
    return _check(
        "every scores file is named by a batch",
        (uri_of(ports.files.root, key) for key in strays),
        "Delete them, unless a run is writing them now, or marts in another database name them: a run that was killed "
        "left them, and the next one writes anew.",
    )


def _check(name: str, faults: Iterable[str], remedy: str) -> Check:
    """Return a check with its first faults, and how many more there are."""
    wrong = list(faults)
    more = [f"and {len(wrong) - SHOWN:,} more"] if len(wrong) > SHOWN else []
    return Check(name, (*wrong[:SHOWN], *more), remedy if wrong else "")
