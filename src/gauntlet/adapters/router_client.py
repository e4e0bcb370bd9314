"""The traffic router, asked over HTTP: rows as Arrow streams, its configuration as JSON."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa

from gauntlet.domain.errors import Final
from gauntlet.jobs.ports import ArmSample, Sample, ServiceAway

ARROW = "application/vnd.apache.arrow.stream"
TIMEOUT = httpx.Timeout(60.0, connect=5.0)
PAUSE = 0.2
REMEDY = "Start the stack, or correct FLASK_URL."


class TrafficRefusedError(Final):
    """The router answered that a request breaks its rules; the text is the router's own."""


class RouterClient:
    """The router by its URL; a request that finds nobody is tried again for up to `patience` seconds."""

    def __init__(self, url: str, patience: float = 5.0) -> None:
        self._url = url.rstrip("/")
        self._patience = patience
        self._kept: tuple[int, httpx.Client] | None = None

    def training_rows(self, spec: str, drift_cols: Sequence[str]) -> Sample:
        """Return rows of the training pool; `drift_cols` overrides the configured drift unless empty."""
        table, traffic = self._table("/get_data", spec, drift_cols)
        return Sample(_frame(table), traffic)

    def test_rows(self, spec: str, drift_cols: Sequence[str]) -> ArmSample:
        """Return rows of the A/B pool, split into arms; `drift_cols` as in `training_rows`."""
        table, traffic = self._table("/ab_data", spec, drift_cols)
        rows = _frame(table)
        arm = rows.pop("arm")
        return ArmSample(rows[arm == "a"], rows[arm == "b"], traffic)

    def get_traffic(self, spec: str) -> Mapping[str, Any]:
        """Return the traffic configuration of a spec."""
        return self._object(self._ask("GET", "/traffic", spec))

    def set_traffic(self, spec: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change keys of the configuration and return the new one; raises TrafficRefusedError, changing none."""
        traffic: Mapping[str, Any] = self._object(self._ask("POST", "/traffic", spec, dict(changes)))["traffic"]
        return traffic

    def _table(self, path: str, spec: str, drift_cols: Sequence[str]) -> tuple[pa.Table, str]:
        # In a body a column's name may hold a comma.
        answer = self._ask("POST", path, spec, {"drift_cols": list(drift_cols)} if drift_cols else {}, accept=ARROW)
        try:
            table = pa.ipc.open_stream(answer.content).read_all()
            return table, (table.schema.metadata or {})[b"traffic"].decode()
        except (pa.ArrowInvalid, KeyError) as error:
            raise self._strange(answer) from error

    def _object(self, answer: httpx.Response) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = answer.json()
        except ValueError as error:
            raise self._strange(answer) from error
        return found

    def _ask(
        self, method: str, path: str, spec: str, body: Mapping[str, Any] | None = None, accept: str = "application/json"
    ) -> httpx.Response:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                client = self._client()
                answer = client.request(method, path, params={"spec": spec}, json=body, headers={"Accept": accept})
                break
            except httpx.TransportError as error:
                # A worker that died in a request is as harmless to ask again: no request here adds to anything.
                if time.monotonic() > deadline:
                    found = f'"{error or type(error).__name__}"'
                    raise ServiceAway(f"the router must answer at {self._url}; found {found}. {REMEDY}") from error
                time.sleep(PAUSE)
        if answer.is_error:
            raise self._refusal(answer)
        return answer

    def _client(self) -> httpx.Client:
        # A forked child must not write on its parent's connections.
        if self._kept is None or self._kept[0] != os.getpid():
            self._kept = (os.getpid(), httpx.Client(base_url=self._url, timeout=TIMEOUT, trust_env=False))
        return self._kept[1]

    def _refusal(self, answer: httpx.Response) -> Exception:
        try:
            said = answer.json()
            text = f"{said['error'].rstrip('.')}; found {said['found']}. {said['remedy']}"
        except (ValueError, KeyError, TypeError, AttributeError):
            return self._strange(answer)
        return ServiceAway(text) if answer.is_server_error else TrafficRefusedError(text)

    def _strange(self, answer: httpx.Response) -> ServiceAway:
        """Return the error for an answer that is not a router's: another program has its address."""
        body = answer.text[:100] if "text" in answer.headers.get("content-type", "") else f"{len(answer.content)} bytes"
        found = f'status {answer.status_code} with "{body}"'
        return ServiceAway(f"the router must answer at {self._url}; found {found}. {REMEDY}")


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas().set_index("row_id")
    return frame
