"""Every setting of the product: one frozen model, read from a mapping of environment variables and checked at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from gauntlet.domain.errors import Final

URL_SAFE = re.compile(r"[A-Za-z0-9_-]+")
Port = Annotated[int, Field(ge=1, le=65535)]
Share = Annotated[float, Field(gt=0, lt=1)]
DATABASE_ADDRESS = re.compile(r"postgres(ql)?(\+\w+)?://(?P<place>[^/]*)")
WEB_ADDRESS = re.compile(r"https?://[^/\s]+(/\S*)?")


def _fits_an_address(secret: SecretStr) -> SecretStr:
    if not URL_SAFE.fullmatch(secret.get_secret_value()):
        raise ValueError("must be made of letters, digits, - and _, since it becomes part of an address")
    return secret


def _web_address(text: str) -> str:
    if not WEB_ADDRESS.fullmatch(text):
        raise ValueError("must be an address such as http://minio:9000")
    return text


def _database_address(url: SecretStr) -> SecretStr:
    """Refuse what a client could take apart in another way than it was meant, and show a part of the password."""
    found = DATABASE_ADDRESS.match(url.get_secret_value())
    if not found or found["place"].count("@") > 1:
        raise ValueError("must be postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE, an @ of the password written as %40")
    return url


WebAddress = Annotated[str, AfterValidator(_web_address)]
DatabaseAddress = Annotated[SecretStr, AfterValidator(_database_address)]
DatabasePassword = Annotated[SecretStr, AfterValidator(_fits_an_address)]


class SettingsError(Final):
    """One or more variables are missing or wrong; the text has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        many = f"{len(problems)} settings are wrong:\n  " if len(problems) > 1 else ""
        super().__init__(many + "\n  ".join(problems))


class Settings(BaseModel):
    """What can be set; each field is the variable of the same name in capitals, its description the documentation."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    gauntlet_stack: Literal["embedded", "compose"] | None = Field(
        None, description="the stack that commands work with: embedded (without Docker) or compose"
    )
    gauntlet_home: Path = Field(Path(".gauntlet"), description="state folder of the embedded stack")
    scratch_dir: Path = Field(
        Path(".gauntlet/scratch"), description="folder in which files are read and written while they are scored"
    )
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
    minio_port: Port = Field(9000, description="port of MinIO on 127.0.0.1 (compose)")
    minio_console_port: Port = Field(9001, description="port of MinIO's console on 127.0.0.1 (compose)")
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
    promotion_rule: Literal["paired", "non_inferiority", "split", "original"] = Field(
        "paired",
        description="paired: better on the same rows; non_inferiority: not worse than the best version ever; "
        "split: better on an arm of its own; original: lower MAE on disjoint halves",
    )
    auto_rollback: bool = Field(
        False, description="let the watch over production roll back by itself; without it, it proposes"
    )

    require_approval: bool = Field(
        False, description="a person must approve a promotion in Airflow; without an answer the champion stays"
    )
    approval_timeout_hours: Annotated[float, Field(gt=0, le=8760)] = Field(
        24.0, description="hours within which a promotion must be approved"
    )
    notify_urls: SecretStr | None = Field(
        None, description="where drift, promotions, rollbacks and failures are told: URLs as Apprise writes them"
    )
    mlflow_page_url: WebAddress | None = Field(
        None, description="address of MLflow in links for people, where it is not MLFLOW_TRACKING_URI"
    )

    flask_url: str | None = Field(None, description="address of the traffic router")
    airflow_url: str | None = Field(None, description="address of Airflow")
    airflow_admin_user: str = Field("admin", description="Airflow user of the command line")
    airflow_admin_password: SecretStr | None = Field(None, description="its password")
    mlflow_tracking_uri: str | None = Field(None, description="address of MLflow")
    gauntlet_database_url: DatabaseAddress | None = Field(None, description="the ledger's database, role gauntlet_app")
    mart_database_url: DatabaseAddress | None = Field(
        None, description="the marts' database, where it is not GAUNTLET_DATABASE_URL"
    )
    object_store: str | None = Field(None, description="where snapshots lie: file:///FOLDER or s3://BUCKET/PREFIX")
    aws_access_key_id: str | None = Field(None, description="S3 access key, for an s3:// object store")
    aws_secret_access_key: SecretStr | None = Field(None, description="S3 secret key")
    aws_default_region: str = Field("us-east-1", description="region of the S3 store")
    mlflow_s3_endpoint_url: WebAddress | None = Field(None, description="address of the S3 store; empty for AWS itself")

    s3_endpoint_url: WebAddress | None = Field(
        None, description="address of an S3 store other than the stack's (compose)"
    )
    mlflow_bucket: str = Field("mlflow", description="bucket of MLflow's artifacts (compose)")
    data_bucket: str = Field("data", description="bucket of snapshots, profiles and test rows (compose)")
    gauntlet_image: str | None = Field(None, description="image of Airflow, MLflow and router, instead of building it")
    minio_image: str | None = Field(None, description="image of MinIO, instead of building it")
    valkey_password: DatabasePassword | None = Field(
        None, description="password of the queue of Airflow's workers (docker-compose.scale.yml)"
    )
    airflow_workers: Annotated[int, Field(ge=1, le=1000)] = Field(
        2, description="worker containers of Airflow (docker-compose.scale.yml)"
    )
    airflow_worker_tasks: Annotated[int, Field(ge=1, le=64)] = Field(
        2, description="tasks that one of them runs at once (docker-compose.scale.yml)"
    )
    mlflow_workers: Annotated[int, Field(ge=1, le=64)] = Field(
        2, description="worker processes of MLflow (docker-compose.scale.yml)"
    )
    postgres_host: str = Field("127.0.0.1", description="host of the Postgres that gauntlet migrate prepares")
    postgres_password: DatabasePassword | None = Field(None, description="password of Postgres's superuser (compose)")
    airflow_db_password: DatabasePassword | None = Field(None, description="password of the role airflow (compose)")
    mlflow_db_password: DatabasePassword | None = Field(None, description="password of the role mlflow (compose)")
    gauntlet_db_password: DatabasePassword | None = Field(None, description="password of the role gauntlet (compose)")
    gauntlet_app_db_password: DatabasePassword | None = Field(
        None, description="password of the role gauntlet_app (compose)"
    )
    router_db_password: DatabasePassword | None = Field(None, description="password of the role router (compose)")
    airflow_jwt_secret: SecretStr | None = Field(
        None, description="key of the tokens between Airflow's parts (compose)"
    )
    airflow_api_secret_key: SecretStr | None = Field(
        None, description="key of the sessions of Airflow's page (compose)"
    )
    airflow_fernet_key: SecretStr | None = Field(None, description="key of what Airflow encrypts (compose)")

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
        missing = self._missing(names)
        if missing:
            raise SettingsError(
                [f"The stack must run, or {missing} name another; it does not run. Start it: gauntlet up"]
            )

    def require_for(self, purpose: str, *names: str) -> None:
        """Raise SettingsError that names every one of these settings which is not set, and what needs them."""
        missing = self._missing(names)
        if missing:
            raise SettingsError([f"{purpose} needs {missing}, not set here. Fill .env: make .env"])

    def secret(self, name: str) -> str:
        """Return the text of a secret that was required before."""
        found: SecretStr = getattr(self, name)
        return found.get_secret_value()

    def _missing(self, names: Iterable[str]) -> str:
        return " and ".join(name.upper() for name in names if getattr(self, name) is None)


def _problem(item: dict[str, Any]) -> str:
    name = str(item["loc"][0])
    field = Settings.model_fields[name]
    shown = "a value" if any(word in name for word in ("secret", "password", "url", "key")) else repr(item["input"])
    text = item["msg"][0].lower() + item["msg"][1:]
    return f"{name.upper()} ({field.description}): {text}; got {shown}."
