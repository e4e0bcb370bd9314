"""What the DAGs of files do, put together from the settings: thin functions that their tasks call."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gauntlet.bootstrap.catalogue import AssetNames, load_spec, load_specs, names, run_key
from gauntlet.bootstrap.environment import load_settings
from gauntlet.bootstrap.wiring import final_errors, make_ports, object_store
from gauntlet.domain.errors import Mendable
from gauntlet.jobs.mart_port import BatchKind
from gauntlet.jobs.ports import ServiceAway

if TYPE_CHECKING:
    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.choice import ChoicePorts, Chosen
    from gauntlet.jobs.mart_port import InputFile
    from gauntlet.jobs.predict_run import Told
    from gauntlet.settings import Settings

log = logging.getLogger(__name__)
ARRIVED, MORE_FILES = "gauntlet_arrived_files", "gauntlet_more_files"
"""The AssetAliases by which events are said of some of the Assets only."""
BACKFILL = "backfill"


@dataclass(frozen=True)
class Arrival:
    """An event to be said: the name of the Asset, and what is told with it."""

    asset: str
    event: Mapping[str, Any]


def choose_model(spec_name: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the version that scores a run, by its own rule or the spec's; it stays chosen to the run's end.

    Where the rule asks for production, an alias that was moved by hand in MLflow is taken over before.
    """
    from gauntlet.bootstrap.scoring import score_ports
    from gauntlet.domain.model_rule import RuleKind
    from gauntlet.jobs.choice import choose
    from gauntlet.jobs.production import reconcile

    settings = load_settings()
    with final_errors():
        spec = load_spec(settings, spec_name)
        rule = context["params"]["model"] or spec.predict.model
        if rule == RuleKind.PRODUCTION:
            reconcile(make_ports(settings), spec.name, names(settings, spec.name))
        chosen = choose(score_ports(settings), spec, rule)
    return {"version": chosen.version.version, "rule": chosen.rule, "why": dict(chosen.why)}


def find_files(spec_name: str, chosen: Mapping[str, Any], context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the files of a run: the one it names, else those that the version has not scored yet."""
    from gauntlet.bootstrap.scoring import score_ports
    from gauntlet.jobs.inbox import named
    from gauntlet.jobs.predict_run import Found, file_to_dict, take
    from gauntlet.jobs.score_files import new_files

    settings, uri = load_settings(), context["params"]["uri"]
    with final_errors():
        spec, ports = load_spec(settings, spec_name), score_ports(settings)
        if uri:
            found = Found([named(ports.files, uri)], 0)
        else:
            found = take(new_files(ports, spec, chosen["version"]), interval_of(context["dag_run"]))
    log.info("%d files to score; %d wait for the next run", len(found.files), found.rest)
    context["ti"].xcom_push(key="rest", value=found.rest)
    return [file_to_dict(file) for file in found.files]


def score(
    spec_name: str, chosen: Mapping[str, Any], file: Mapping[str, Any], context: Mapping[str, Any]
) -> dict[str, Any]:
    """Score one file, and return what became of it."""
    from gauntlet.bootstrap.scoring import make_score_run, score_ports
    from gauntlet.jobs.predict_run import file_from_dict, outcome
    from gauntlet.jobs.score_files import score_file

    settings, key, wanted = load_settings(), _key(context), file_from_dict(file)
    began = time.monotonic()
    with final_errors():
        run, ports = make_score_run(settings, spec_name, key), score_ports(settings)
        batch = score_file(run, ports, wanted, _chosen(ports, run.spec, chosen))
    log.info("batch %d took %.3f s", batch.id, time.monotonic() - began)
    return outcome(batch, wanted, key)


def publish(context: Mapping[str, Any]) -> Told:
    """Return what is to be told of the run's new scores; the task is skipped when there are none."""
    from airflow.sdk.exceptions import AirflowSkipException

    from gauntlet.jobs.predict_run import told

    chosen, _, scored, rest = _results(context)
    said = told(chosen or {}, scored, rest)
    if said is None:
        raise AirflowSkipException("no new scores")
    return said


def summarize(context: Mapping[str, Any]) -> dict[str, str]:
    """Say in one line what a run did; fails when one of its files did."""
    from gauntlet.jobs.predict_run import summary_line

    with final_errors():
        line = summary_line(*_results(context))
    log.info("%s", line)
    return {"line": line}


def file_name(file: Mapping[str, Any]) -> str:
    """Return what Airflow's page calls the task of a file: the end of its path."""
    return "/".join(str(file["key"]).split("/")[3:])


def arrivals() -> list[Arrival]:
    """Return an event for each folder of a spec in which files have arrived.

    What has been found is returned although another folder cannot be looked at, since it counts as told of from now on;
    without any, the first error is raised.
    """
    from gauntlet.bootstrap.marts import mart
    from gauntlet.jobs.arrivals import arrived

    settings, now = load_settings(), datetime.now(UTC)
    found: list[Arrival] = []
    wrong: list[Mendable] = []
    with final_errors():
        files, marts = object_store(settings), mart(settings)
        for spec, kind, asset in _folders(settings):
            try:
                new = arrived(files, marts, spec, kind, now)
            except Mendable as error:
                log.warning("the files of %s cannot be looked at: %s", asset, error)
                wrong.append(error)
                if isinstance(error, ServiceAway):
                    break
            else:
                found += [Arrival(asset, _event(new))] if new else []
        if wrong and not found:
            raise wrong[0]
    return found


def _folders(settings: Settings) -> Iterator[tuple[Spec, BatchKind, str]]:
    """Each folder of each spec that is right, with the name of its Asset."""
    for spec in load_specs(settings)[0].values():
        assets = AssetNames.of(spec.name)
        yield spec, BatchKind.TRAIN, assets.train_files
        yield spec, BatchKind.PREDICT, assets.predict_files


def _event(files: Sequence[InputFile]) -> dict[str, Any]:
    from gauntlet.jobs.predict_run import MAX_FILES

    return {"count": len(files), "files": [file.uri for file in files[:MAX_FILES]]}


def _key(context: Mapping[str, Any]) -> str:
    return run_key(context["dag_run"].dag_id, context["dag_run"].run_id)


def _chosen(ports: ChoicePorts, spec: Spec, data: Mapping[str, Any]) -> Chosen:
    """The choice that the run has recorded, with its version as the ledger has it."""
    from gauntlet.jobs.choice import choose

    return replace(choose(ports, spec, f"version:{data['version']}"), rule=data["rule"], why=data["why"])


def interval_of(dag_run: Any) -> tuple[datetime, datetime] | None:
    """The data interval of a backfill's run; any other run takes whatever is new, so that a late file is not missed."""
    return (dag_run.data_interval_start, dag_run.data_interval_end) if dag_run.run_type == BACKFILL else None


def _results(
    context: Mapping[str, Any],
) -> tuple[dict[str, Any] | None, list[dict[str, Any]] | None, list[dict[str, Any]], int]:
    """What the run has chosen, found and scored so far, and how many files wait; None where a step has not ended."""
    pull = context["ti"].xcom_pull
    scored = [one for one in pull(task_ids=["score"]) if one]
    rest = pull(task_ids="find_files", key="rest") or 0
    return pull(task_ids="choose_model"), pull(task_ids="find_files"), scored, rest
