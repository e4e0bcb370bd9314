"""Every setting of the product: one frozen model, read from a mapping of environment variables and checked at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from gauntlet.domain.errors import Final

Port = Annotated[int, Field(ge=1, le=65535)]
Share = Annotated[float, Field(gt=0, lt=1)]


class SettingsError(Final):
    """One or more variables are missing or wrong; the text has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        many = f"{len(problems)} settings are wrong:\n  " if len(problems) > 1 else ""
        super().__init__(many + "\n  ".join(problems))


class Settings(BaseModel):
    """What can be set; each field is the variable of the same name in capitals, its description the documentation."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    gauntlet_home: Path = Field(Path(".gauntlet"), description="state folder of the embedded stack")
    specs_dir: Path = Field(Path("specs"), description="folder of the specs, one TOML file a modelling problem")
    default_spec: str = Field(
        "diamonds", description="the spec whose DAG is main_pipeline", pattern=r"^[a-z][a-z0-9_]{0,62}$"
    )
    data_file: Path | None = Field(None, description="CSV or parquet with the default spec's rows, instead of its own")
    ab_pool_share: Share = Field(0.3, description="share of the rows kept for tests, never trained on")

    airflow_port: Port = Field(8080, description="port of Airflow on 127.0.0.1")
    mlflow_port: Port = Field(5000, description="port of MLflow on 127.0.0.1")
    router_port: Port = Field(8000, description="port of the traffic router on 127.0.0.1")
    postgres_port: Port = Field(15432, description="port of Postgres on 127.0.0.1")
    router_workers: Annotated[int, Field(ge=1, le=64)] = Field(2, description="worker processes of the router")
    training_threads: Annotated[int, Field(ge=1, le=256)] = Field(2, description="threads a training may use")

    experiment_name: str = Field(
        "gauntlet",
        min_length=1,
        description="MLflow experiment and registered model of the default spec (others append -SPEC)",
    )
    comparison_name: str = Field(
        "gauntlet-comparison",
        min_length=1,
        description="MLflow experiment of the comparison runs (others append -SPEC)",
    )
    mlflow_log: bool = Field(
        True, description="log candidate, drift and comparison runs; the model and the ledger remain without"
    )

    drift_rule: Literal["bh", "original"] = Field(
        "bh", description="bh: significant after Benjamini-Hochberg and large enough; original: either threshold alone"
    )
    ks_pvalue_threshold: Share = Field(
        0.05, description="KS p-value below which a numeric column drifts (the FDR level under bh)"
    )
    psi_threshold: Annotated[float, Field(gt=0)] = Field(0.1, description="PSI from which a categorical column drifts")
    promotion_rule: Literal["paired", "original"] = Field(
        "paired",
        description="paired: both models on the same rows, with an interval; original: lower MAE on disjoint halves",
    )

    flask_url: str | None = Field(None, description="address of the traffic router")
    airflow_url: str | None = Field(None, description="address of Airflow")
    airflow_admin_user: str = Field("admin", description="Airflow user of the command line")
    airflow_admin_password: SecretStr | None = Field(None, description="its password")
    mlflow_tracking_uri: str | None = Field(None, description="address of MLflow")
    gauntlet_database_url: SecretStr | None = Field(None, description="the ledger's database, role gauntlet_app")
    object_store: str | None = Field(None, description="where snapshots lie: file:///FOLDER or s3://BUCKET/PREFIX")
    aws_access_key_id: str | None = Field(None, description="S3 access key, for an s3:// object store")
    aws_secret_access_key: SecretStr | None = Field(None, description="S3 secret key")
    mlflow_s3_endpoint_url: str | None = Field(None, description="address of the S3 store; empty for AWS itself")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Return the settings in `env`; an empty variable counts as unset. Raises SettingsError with every problem."""
        given = {name: env[name.upper()] for name in cls.model_fields if env.get(name.upper(), "").strip()}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise SettingsError([_problem(dict(item)) for item in error.errors()]) from None

    def require(self, *names: str) -> None:
        """Raise SettingsError that names every one of these settings which is not set."""
        missing = [name.upper() for name in names if getattr(self, name) is None]
        if missing:
            named = " and ".join(missing)
            raise SettingsError(
                [f"The stack must run, or {named} name another; it does not run. Start it: gauntlet up"]
            )


def _problem(item: dict[str, Any]) -> str:
    name = str(item["loc"][0])
    field = Settings.model_fields[name]
    shown = "a value" if "secret" in name or "password" in name or "url" in name else repr(item["input"])
    text = item["msg"][0].lower() + item["msg"][1:]
    return f"{name.upper()} ({field.description}): {text}; got {shown}."
