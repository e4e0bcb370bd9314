"""The environment of clients and services. No secret of it ever stands on a command line."""

from __future__ import annotations

from collections.abc import Mapping

from gauntlet.embedded.config import StackConfig
from gauntlet.embedded.layout import AIRFLOW_MIGRATE, API_SERVER, DAG_PROCESSOR, MLFLOW, ROUTER, SCHEDULER, Layout
from gauntlet.embedded.secrets import Secrets, airflow_password_file

ADMIN = "admin"
SERVICE = "GAUNTLET_SERVICE"
"""Tells a process that it is one of the stack's services, whose environment is complete."""
HOST = "127.0.0.1"

# All that a service takes over from the shell that started the stack: settings of another Airflow or MLflow, PYTHONPATH
# or PYTHONDONTWRITEBYTECODE must not change what runs here.
_TAKEN_OVER = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "LD_LIBRARY_PATH",
)  # fmt: skip


def database_url(config: StackConfig, role: str, password: str, database: str) -> str:
    """Return the address of a database for libpq."""
    return f"postgresql://{role}:{password}@{HOST}:{config.postgres_port}/{database}"


def sqlalchemy_url(config: StackConfig, role: str, password: str, database: str) -> str:
    """Return the same for SQLAlchemy, which takes plain postgresql:// to mean psycopg 3."""
    return database_url(config, role, password, database).replace("postgresql://", "postgresql+psycopg2://", 1)


def variables(config: StackConfig, secrets: Secrets) -> dict[str, str]:
    """Return the addresses and passwords that clients of the stack need."""
    return {
        "MLFLOW_TRACKING_URI": f"http://{HOST}:{config.mlflow_port}",
        "FLASK_URL": f"http://{HOST}:{config.router_port}",
        "AIRFLOW_URL": f"http://{HOST}:{config.airflow_port}",
        "AIRFLOW_ADMIN_USER": ADMIN,
        "AIRFLOW_ADMIN_PASSWORD": secrets.airflow_admin_password,
        "GAUNTLET_DATABASE_URL": database_url(config, "gauntlet_app", secrets.gauntlet_app, "gauntlet"),
        "GAUNTLET_OWNER_DATABASE_URL": database_url(config, "gauntlet", secrets.gauntlet, "gauntlet"),
        "ROUTER_DATABASE_URL": database_url(config, "router", secrets.router, "gauntlet"),
        "OBJECT_STORE": Layout.of(config.home).objects.as_uri(),
    }


def service_environment(
    service: str, config: StackConfig, secrets: Secrets, shell: Mapping[str, str], given: Mapping[str, str]
) -> dict[str, str]:
    """Return the whole environment of a service.

    `shell` is that of whoever started the stack, `given` the secret settings that the stack was started with.
    """
    env = {name: shell[name] for name in _TAKEN_OVER if name in shell}
    env |= {
        SERVICE: service,
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": f"{HOST},localhost",
        "no_proxy": f"{HOST},localhost",
        "OMP_NUM_THREADS": "1",
        # each thread's own heap keeps what it once needed; servers with many threads give far more back with two
        "MALLOC_ARENA_MAX": "2",
    }
    env |= config.service_variables
    if service == MLFLOW:
        return env | _mlflow()
    if service == ROUTER:
        return env | _router(config, secrets)
    if service in (AIRFLOW_MIGRATE, API_SERVER, SCHEDULER, DAG_PROCESSOR):
        env |= _airflow(config, secrets)
    if service in (SCHEDULER, DAG_PROCESSOR):  # tasks, and what is to be done about a run that failed
        env |= given
    if service == SCHEDULER:
        # Tasks do the training; the scheduler hands its environment on to them.
        env["OMP_NUM_THREADS"] = config.service_variables.get("TRAINING_THREADS", "2")
    return env


def _mlflow() -> dict[str, str]:
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # runs of judges and prompt optimisation: a job executor with children of its own, unused here
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _router(config: StackConfig, secrets: Secrets) -> dict[str, str]:
    return {
        "ROUTER_PORT": str(config.router_port),
        "ROUTER_WORKERS": str(config.router_workers),
        "ROUTER_DATABASE_URL": variables(config, secrets)["ROUTER_DATABASE_URL"],
        "SPECS_DIR": str(config.specs_dir),
        "DATA_ROOT": str(config.root),
        "PYTHONPATH": str(config.root / "app"),
    }


def _task_client(config: StackConfig, secrets: Secrets) -> dict[str, str]:
    """What the work inside tasks is told; not the passwords that only the stack itself needs."""
    private = ("AIRFLOW_ADMIN_PASSWORD", "GAUNTLET_OWNER_DATABASE_URL", "ROUTER_DATABASE_URL")
    told = {name: value for name, value in variables(config, secrets).items() if name not in private}
    return told | {
        "GAUNTLET_HOME": str(config.home),
        "SPECS_DIR": str(config.specs_dir),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # Pauses of 0, 2, 4, 8, 16 s: an MLflow that is killed is back in 15 s, one that is gone is given up after 30.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "5",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.5",
        "MPLBACKEND": "Agg",
    }


def _airflow(config: StackConfig, secrets: Secrets) -> dict[str, str]:
    layout = Layout.of(config.home)
    address = f"http://{HOST}:{config.airflow_port}"
    sections = {
        "CORE": {
            "DAGS_FOLDER": str(config.root / "airflow" / "dags"),
            "EXECUTION_API_SERVER_URL": f"{address}/execution/",
            "FERNET_KEY": secrets.airflow_fernet_key,
            "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(airflow_password_file(config.home)),
        },
        "DATABASE": {"SQL_ALCHEMY_CONN": sqlalchemy_url(config, "airflow", secrets.airflow, "airflow")},
        "API": {
            "HOST": HOST,
            "PORT": str(config.airflow_port),
            "BASE_URL": address,
            "SECRET_KEY": secrets.airflow_api_secret_key,
        },
        "API_AUTH": {"JWT_SECRET": secrets.airflow_jwt_secret},
        "LOGGING": {"BASE_LOG_FOLDER": str(layout.logs / "tasks")},
    }
    flat = {
        f"AIRFLOW__{section}__{name}": value for section, names in sections.items() for name, value in names.items()
    }
    places = {"AIRFLOW_HOME": str(layout.airflow), "AIRFLOW_CONFIG": str(config.root / "airflow" / "airflow.cfg")}
    return {**places, **_task_client(config, secrets), **flat}
