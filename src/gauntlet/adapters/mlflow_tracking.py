"""Experiment runs in MLflow that show what was measured: drift reports and comparisons."""

import json
import re
from collections.abc import Mapping
from math import isfinite

import pandas as pd
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

from gauntlet.adapters.mlflow_server import KIND, RUN_KEY, MlflowServer
from gauntlet.domain.drift import DriftReport
from gauntlet.jobs.ports import ComparisonLog, Names

# What MLflow does not take in the name of a metric.
FORBIDDEN = re.compile(r"[^\w\-. /]", re.ASCII)


class MlflowTracking:
    """The experiments of an MLflow server."""

    def __init__(self, uri: str) -> None:
        self._server = MlflowServer(uri)

    def log_drift(
        self, names: Names, run_key: str, champion: int, report: DriftReport, left_out: Mapping[str, int]
    ) -> None:
        """Log a drift report against a champion: findings as metrics, and as the table drift_report.json."""
        metrics: dict[str, float] = {"drifted": len(report.drifted_columns)}
        for finding in report.findings:
            measured = {"statistic": finding.statistic, "p_value": finding.p_value, "effect": finding.effect}
            column = FORBIDDEN.sub("_", finding.column)
            metrics |= {f"{column}.{name}": value for name, value in measured.items() if value is not None}
        params = {
            "champion": f"v{champion}",
            "drifted": report.drifted,
            "columns": ", ".join(report.drifted_columns),
            "rows_reference": report.rows_reference,
            "rows_current": report.rows_current,
            "left_out": json.dumps(dict(left_out)),
        }
        tables = {"drift_report.json": pd.DataFrame(report.to_dict()["findings"])}
        self._log_once(names.experiment, "drift", run_key, f"drift v{champion}", params, metrics, tables)

    def log_comparison(self, names: Names, log: ComparisonLog) -> None:
        """Log a comparison: parameters, metrics, and both arms as the tables a_data.json and b_data.json."""
        tables = {"a_data.json": log.a_data.reset_index(), "b_data.json": log.b_data.reset_index()}
        metrics = dict(log.metrics)
        self._log_once(names.comparison, "comparison", log.run_key, log.run_name, log.params, metrics, tables)

    def _log_once(
        self,
        experiment: str,
        kind: str,
        run_key: str,
        name: str,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        tables: Mapping[str, pd.DataFrame],
    ) -> None:
        experiment_id = self._server.experiment(experiment)
        earlier = self._server.runs(experiment_id, run_key, kind)
        if any(run.info.status == "FINISHED" for run in earlier):
            return
        self._server.kill(earlier)
        tags = {RUN_KEY: run_key, KIND: kind, MLFLOW_LOGGED_ARTIFACTS: json.dumps([_shown(file) for file in tables])}
        run_id = self._server.start(experiment_id, name, tags)
        self._server.log(run_id, params, {key: value for key, value in metrics.items() if isfinite(value)})
        self._server.upload(run_id, {file: _table(table) for file, table in tables.items()})
        self._server.finish(run_id)


# What MLflow's log_table writes, without its eight requests for a table.
def _table(table: pd.DataFrame) -> bytes:
    return table.to_json(orient="split", index=False, date_format="iso").encode()


def _shown(file: str) -> dict[str, str]:
    return {"path": file, "type": "table"}
