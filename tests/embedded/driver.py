"""The `gauntlet` command on one stack, as a user types it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gauntlet import bootstrap
from gauntlet.jobs.acts import Conductor
from gauntlet.settings import Settings

COMMAND = Path(sys.executable).parent / "gauntlet"


@dataclass(frozen=True)
class Driver:
    """`env`: the variables that name the stack (its folder and ports)."""

    env: Mapping[str, str]

    def run(self, *arguments: str, ok: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command; unless `ok` is false it must succeed."""
        done = subprocess.run(
            [COMMAND, *arguments], env=self._environment(variables), capture_output=True, text=True, timeout=400
        )
        assert not ok or done.returncode == 0, f"gauntlet {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command without waiting for it."""
        return subprocess.Popen(
            [COMMAND, *arguments],
            env=self._environment({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def json(self, *arguments: str) -> Any:
        """Run a command and read the JSON it prints."""
        return json.loads(self.run(*arguments, ok=False).stdout)

    @property
    def settings(self) -> Settings:
        """The settings as a command sees them."""
        return bootstrap.load_settings(self.env)

    def champion(self) -> int:
        """The version in production, by the ledger."""
        return int(self.json("status", "--json")["champions"]["diamonds"]["version"])

    def conductor(self) -> Conductor:
        """What starts runs of the default spec's DAG."""
        return bootstrap.conductor(self.settings, None, lambda _: None, lambda _: None)

    def wait_for_run(self, run_id: str, seconds: float = 180.0) -> None:
        """Wait until a run has succeeded."""
        conductor = self.conductor()
        deadline = time.monotonic() + seconds
        while (state := conductor.scheduler.run_state(conductor.dag, run_id)) != "success":
            assert state != "failed", conductor.scheduler.failure(conductor.dag, run_id)
            assert time.monotonic() < deadline, f"run {run_id} is {state} after {seconds:.0f} s"
            time.sleep(0.5)

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, **self.env, **variables}
