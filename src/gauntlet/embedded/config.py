"""What the embedded stack is started with, kept in the state folder while it runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gauntlet.embedded.files import write_private
from gauntlet.embedded.layout import Layout

_PATHS = ("root", "home", "specs_dir")


@dataclass(frozen=True)
class StackConfig:
    """The folders, ports and settings of one stack; nothing secret.

    `root` is the repository, `home` the state folder. `service_variables` are handed to every service as they are.
    """

    root: Path
    home: Path
    airflow_port: int
    mlflow_port: int
    router_port: int
    postgres_port: int
    router_workers: int
    specs_dir: Path
    service_variables: Mapping[str, str]

    @property
    def ports(self) -> dict[str, int]:
        """The ports by the variable that sets each."""
        return {
            "AIRFLOW_PORT": self.airflow_port,
            "MLFLOW_PORT": self.mlflow_port,
            "ROUTER_PORT": self.router_port,
            "POSTGRES_PORT": self.postgres_port,
        }

    def settings(self) -> dict[str, str]:
        """Return everything by the variable that sets it, as text."""
        own = {
            **self.ports,
            "ROUTER_WORKERS": self.router_workers,
            "SPECS_DIR": self.specs_dir,
            "the checkout": self.root,
        }
        return {name: str(value) for name, value in {**own, **self.service_variables}.items()}


def save_config(config: StackConfig) -> None:
    """Keep the configuration of the stack that is about to run."""
    plain = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    plain |= {name: str(plain[name]) for name in _PATHS} | {"service_variables": dict(config.service_variables)}
    write_private(Layout.of(config.home).config, json.dumps(plain, indent=2) + "\n")


def load_config(home: Path) -> StackConfig | None:
    """Return the configuration of the stack that runs (or died) in this state folder; None when none was started."""
    try:
        plain: dict[str, Any] = json.loads(Layout.of(home).config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return StackConfig(**{**plain, **{name: Path(plain[name]) for name in _PATHS}})


def differences(running: StackConfig, asked: StackConfig) -> list[str]:
    """Return a line for each setting in which the two differ."""
    old, new = running.settings(), asked.settings()
    return [
        f"{name} is {old.get(name, 'unset')}, asked for {new.get(name, 'unset')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
