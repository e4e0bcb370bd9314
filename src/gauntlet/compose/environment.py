"""Where the containers are reached from the host, by the settings that docker-compose.yml was given."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from gauntlet.jobs.stack import DATABASES, password_variable

SECRETS = (
    *map(password_variable, DATABASES), "AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_JWT_SECRET",
    "AIRFLOW_API_SECRET_KEY", "AIRFLOW_FERNET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
)  # fmt: skip
HOST = "127.0.0.1"
# the variable of each published port, and what docker-compose.yml publishes on where it is not set
PORTS = {
    "AIRFLOW_PORT": 8080,
    "MLFLOW_PORT": 5000,
    "ROUTER_PORT": 8000,
    "POSTGRES_PORT": 15432,
    "MINIO_PORT": 9000,
    "MINIO_CONSOLE_PORT": 9001,
}


def is_set_up(env: Mapping[str, str]) -> bool:
    """Say whether the secrets of a stack in containers are there."""
    return all(env.get(name) for name in SECRETS)


def port(env: Mapping[str, str], name: str) -> str:
    """Return the port that a variable of PORTS sets."""
    return env.get(name) or str(PORTS[name])


def database_url(role: str, password: str, place: str) -> str:
    """Return the address of a role's own database; `place` is HOST:PORT."""
    return f"postgresql://{role}:{quote(password, safe='')}@{place}/{DATABASES[role]}"


def login_urls(env: Mapping[str, str]) -> dict[str, str]:
    """Return the address of each role's database on the host, with its password, by role."""
    place = f"{HOST}:{port(env, 'POSTGRES_PORT')}"
    return {role: database_url(role, env.get(password_variable(role), ""), place) for role in DATABASES}


def variables(env: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses and passwords that clients on the host need, given what .env and the shell say."""
    return {
        "MLFLOW_TRACKING_URI": f"http://{HOST}:{port(env, 'MLFLOW_PORT')}",
        "FLASK_URL": f"http://{HOST}:{port(env, 'ROUTER_PORT')}",
        "AIRFLOW_URL": f"http://{HOST}:{port(env, 'AIRFLOW_PORT')}",
        "AIRFLOW_ADMIN_USER": "admin",
        "GAUNTLET_DATABASE_URL": login_urls(env)["gauntlet_app"],
        "POSTGRES_HOST": HOST,
        "OBJECT_STORE": f"s3://{env.get('DATA_BUCKET') or 'data'}",
        "MLFLOW_S3_ENDPOINT_URL": env.get("S3_ENDPOINT_URL") or f"http://{HOST}:{port(env, 'MINIO_PORT')}",
    }
