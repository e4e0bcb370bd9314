"""The specs, and what each is called in Airflow and MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gauntlet.bootstrap.environment import load_settings
from gauntlet.domain.spec import Spec, SpecError
from gauntlet.jobs.ports import Names
from gauntlet.settings import Settings, SettingsError


@dataclass(frozen=True)
class AssetNames:
    """What a spec's Assets are called in Airflow: two folders of files, and two things that others wait for."""

    train_files: str
    predict_files: str
    production: str
    scores: str

    @classmethod
    def of(cls, spec: str) -> AssetNames:
        """Return the names of a spec's Assets."""
        return cls(f"{spec}_train_files", f"{spec}_predict_files", f"{spec}_production", f"{spec}_scores")


@dataclass(frozen=True)
class Pipeline:
    """What the DAG files need to know of one spec."""

    dag_id: str
    watch_id: str
    train_id: str
    predict_id: str
    spec: str
    title: str
    schedule: str | None
    retrain: str | None
    predict_schedule: str | None
    after_promotion: bool
    columns: int
    assets: AssetNames


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
            train_id=train_id(settings, name),
            predict_id=predict_id(settings, name),
            spec=name,
            title=spec.title,
            schedule=spec.schedule or None,
            retrain=spec.retrain or None,
            predict_schedule=spec.predict.schedule or None,
            after_promotion=spec.predict.after_promotion,
            columns=len(spec.variables),
            assets=AssetNames.of(name),
        )
        for name, spec in good.items()
    ]


def spec_errors() -> list[SpecError]:
    """Return the errors of the specs that are wrong; a DAG file of its own shows them in Airflow's page."""
    return load_specs(load_settings())[1]


def dag_id(settings: Settings, spec: str) -> str:
    """Return the DAG of a spec: main_pipeline for the default one, main_pipeline__NAME for any other."""
    return _of_spec(settings, "main_pipeline", spec)


def watch_id(settings: Settings, spec: str) -> str:
    """Return the DAG that watches a spec: watch_production for the default one, watch_production__NAME for others."""
    return _of_spec(settings, "watch_production", spec)


def train_id(settings: Settings, spec: str) -> str:
    """Return the DAG that trains on files: train_pipeline for the default spec, train_pipeline__NAME for others."""
    return _of_spec(settings, "train_pipeline", spec)


def predict_id(settings: Settings, spec: str) -> str:
    """Return the DAG that scores files: predict_pipeline for the default spec, predict_pipeline__NAME for others."""
    return _of_spec(settings, "predict_pipeline", spec)


def _of_spec(settings: Settings, dag: str, spec: str) -> str:
    return dag if spec == settings.default_spec else f"{dag}__{spec}"


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
