"""What containers need as the doctor looks at it: secrets, Docker, the configuration. Changes nothing."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from gauntlet.compose.docker import COMPOSE_SINCE, UP
from gauntlet.compose.engine import Engine
from gauntlet.compose.environment import SECRETS
from gauntlet.jobs.doctor import Finding

LOOPBACK = ("127.0.0.1", "::1")
ENGINE_SINCE = "20.10"
# at least so many characters; MinIO refuses shorter keys, Airflow warns of shorter secrets
LENGTHS = {"AIRFLOW_JWT_SECRET": 64, "AIRFLOW_API_SECRET_KEY": 16, "AWS_ACCESS_KEY_ID": 3, "AWS_SECRET_ACCESS_KEY": 8}


def check_secrets(env: Mapping[str, str]) -> list[Finding]:
    """Look whether every secret is set."""
    missing = [name for name in SECRETS if not env.get(name)]
    if not missing:
        return []
    text = f"Every secret of the containers must be set; {', '.join(missing)} {_are(missing)} not."
    return [Finding(".env", text, "Fill .env, which changes nothing that stands there: make .env")]


def check_secret_forms(env: Mapping[str, str]) -> list[Finding]:
    """Look whether each secret is long and well-formed enough for the service that uses it."""
    short = [name for name, length in LENGTHS.items() if len(env[name]) < length]
    found = [
        Finding(
            ".env",
            f"{name} must have {LENGTHS[name]} characters or more; it has {len(env[name])}.",
            f"Empty {name} in .env, then: make .env && {UP}",
        )
        for name in short
    ]
    if not _is_fernet_key(env["AIRFLOW_FERNET_KEY"]):
        text = "AIRFLOW_FERNET_KEY must be 32 bytes in URL-safe base64, 44 characters; it is not."
        remedy = f"Put the old one back, or empty it in .env, then: make .env && {UP}"
        found.append(Finding(".env", text, remedy))
    return found


def check_docker(engine: Engine) -> list[Finding]:
    """Look whether Docker's engine answers, and whether it and Compose are new enough."""
    plugins = (engine.info.get("ClientInfo") or {}).get("Plugins") or []
    compose = next((each["Version"] for each in plugins if each["Name"] == "compose"), None)
    if compose is None:
        text = f"Docker Compose {COMPOSE_SINCE} or newer must be installed; found no `docker compose`."
        return [Finding("docker", text, "Install Docker's package docker-compose-plugin.")]
    found = {
        "Docker Compose": (compose, COMPOSE_SINCE),
        "Docker's engine": (engine.info["ServerVersion"], ENGINE_SINCE),
    }
    return [
        Finding("docker", f"{what} must be {since} or newer; found {version}.", "Install a newer one.")
        for what, (version, since) in found.items()
        if _numbers(version) < _numbers(since)
    ]


def check_config(engine: Engine) -> list[Finding]:
    """Look whether Compose can read its files."""
    if engine.docker.project.services:
        return []
    return [Finding("configuration", "docker-compose.yml must have services; found none.", "Check COMPOSE_FILE.")]


def check_open_ports(engine: Engine) -> list[Finding]:
    """Look whether ports are published on this machine alone."""
    open_ones = [
        f"{service} on port {each['published']}"
        for service, plain in engine.docker.project.services.items()
        for each in plain.get("ports") or ()
        if each.get("host_ip") not in LOOPBACK
    ]
    if not open_ones:
        return []
    text = f"Ports must be published on 127.0.0.1 alone; {', '.join(open_ones)} can be reached from other machines."
    return [Finding("ports", text, f'Write "127.0.0.1:PORT:PORT" in the Compose file that publishes it, then: {UP}')]


def _is_fernet_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.encode(), altchars=b"-_", validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
