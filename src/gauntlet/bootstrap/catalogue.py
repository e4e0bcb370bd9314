"""The specs, and what each is called in Airflow and MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gauntlet.bootstrap.environment import load_settings
from gauntlet.domain.spec import Spec, SpecError
from gauntlet.jobs.ports import Names
from gauntlet.settings import Settings, SettingsError


@dataclass(frozen=True)
class Pipeline:
    """What the DAG file needs to know of one spec."""

    dag_id: str
    watch_id: str
    spec: str
    title: str
    schedule: str | None
    columns: int


def load_specs(settings: Settings) -> tuple[dict[str, Spec], list[SpecError]]:
    """Return every spec that is right, by name, and the errors of those that are not."""
    good: dict[str, Spec] = {}
    bad: list[SpecError] = []
    for path in sorted(settings.specs_dir.glob("*.toml")):
        try:
            good[path.stem] = read_spec(path)
        except SpecError as error:
            bad.append(error)
    return good, bad


def load_spec(settings: Settings, name: str | None) -> Spec:
    """Return one spec, the default one for None; raises SpecError, or SettingsError when there is none of that name."""
    name = name or settings.default_spec
    path = settings.specs_dir / f"{name}.toml"
    if path.parent != settings.specs_dir or not path.is_file():
        known = ", ".join(sorted(other.stem for other in settings.specs_dir.glob("*.toml"))) or "none"
        raise SettingsError([f"A spec must be a file in {settings.specs_dir}; got {name!r}. There are: {known}."])
    return read_spec(path)


def pipelines() -> list[Pipeline]:
    """Return what the DAG file builds: one pipeline for each spec that is right."""
    settings = load_settings()
    good, _ = load_specs(settings)
    return [
        Pipeline(
            dag_id=dag_id(settings, name),
            watch_id=watch_id(settings, name),
            spec=name,
            title=spec.title,
            schedule=spec.schedule or None,
            columns=len(spec.variables),
        )
        for name, spec in good.items()
    ]


def spec_errors() -> list[SpecError]:
    """Return the errors of the specs that are wrong; a DAG file of its own shows them in Airflow's page."""
    return load_specs(load_settings())[1]


def dag_id(settings: Settings, spec: str) -> str:
    """Return the DAG of a spec: main_pipeline for the default one, main_pipeline__NAME for any other."""
    return "main_pipeline" if spec == settings.default_spec else f"main_pipeline__{spec}"


def watch_id(settings: Settings, spec: str) -> str:
    """Return the DAG that watches a spec: watch_production for the default one, watch_production__NAME for others."""
    return "watch_production" if spec == settings.default_spec else f"watch_production__{spec}"


def names(settings: Settings, spec: str) -> Names:
    """Return what a spec is called in MLflow."""
    suffix = "" if spec == settings.default_spec else f"-{spec}"
    model = settings.experiment_name + suffix
    return Names(model=model, experiment=model, comparison=settings.comparison_name + suffix)


def run_key(dag: str, run_id: str) -> str:
    """Return the key under which a DAG run stands in the ledger."""
    return f"{dag}/{run_id}"


def read_spec(path: Path) -> Spec:
    """Return the spec in a file; raise SpecError with every error, also when there is no such file."""
    try:
        text = path.read_bytes()
    except OSError as error:
        found = f"must be a file that can be read; found: {error.strerror}. Mend or remove it."
        raise SpecError(path.stem, (("(file)", found),)) from error
    return Spec.parse(path.stem, text)
