"""What must be the same before a backup and after its restore, as a user of the stack sees it."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from gauntlet import bootstrap
from gauntlet.adapters.mlflow_registry import MlflowRegistry
from gauntlet.domain import training
from gauntlet.domain.aliases import Alias
from gauntlet.domain.spec import Spec
from gauntlet.jobs.frames import from_parquet
from tests.driver import Driver

SPEC = "diamonds"


@dataclass(frozen=True)
class Shown:
    """Champion and history as the commands print them, aliases, the champion's file and what it predicts."""

    champion: Any
    history: Any
    aliases: dict[str, int | None]
    model_sha256: str
    predictions: list[float]


def shown(driver: Driver) -> Shown:
    """Look at a stack: ledger, registry, object store and model."""
    settings = driver.settings
    ports = bootstrap.make_ports(settings)
    assert isinstance(ports.registry, MlflowRegistry)
    champion = bootstrap.champions(settings)[SPEC]
    version = ports.ledger.version(SPEC, champion.version)
    assert version is not None
    model = ports.registry.model_bytes(version)
    spec = Spec.from_json(version.spec_json)
    rows = from_parquet(ports.store.get(version.snapshot)).head(50)
    return Shown(
        champion=driver.json("status", "--json")["champions"],
        history=json.loads(driver.run("history", "--json").stdout),
        aliases={alias: ports.registry.alias(version.model, alias) for alias in Alias},
        model_sha256=hashlib.sha256(model).hexdigest(),
        predictions=[float(value) for value in training.predict(
            training.load_model(model, spec.trusted_types), rows, spec
        )],
    )  # fmt: skip
