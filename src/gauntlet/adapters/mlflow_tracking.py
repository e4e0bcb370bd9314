"""Experiment runs in MLflow that show what was measured: drift reports and comparisons."""

import json
import re
from collections.abc import Mapping
from math import isfinite

import pandas as pd
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

from gauntlet.adapters import report as pages
from gauntlet.adapters.mlflow_server import KIND, RUN_KEY, MlflowServer
from gauntlet.domain.drift import DriftReport
from gauntlet.domain.report import Report
from gauntlet.jobs.ports import ComparisonLog, Names

# What MLflow does not take in the name of a metric.
FORBIDDEN = re.compile(r"[^\w\-. /]", re.ASCII)

PAGE = "report.html"


class MlflowTracking:
    """The experiments of an MLflow server."""

    def __init__(self, uri: str) -> None:
        self._server = MlflowServer(uri)

    def log_drift(
        self, names: Names, run_key: str, champion: int, report: DriftReport, left_out: Mapping[str, int]
    ) -> None:
        """Log a drift report against a champion: metrics, the table drift_report.json and the page report.html."""
        metrics = {"drifted": float(len(report.drifted_columns)), **_metrics(report)}
        params = {
            "champion": f"v{champion}",
            "drifted": report.drifted,
            "columns": ", ".join(report.drifted_columns),
            "rows_reference": report.rows_reference,
            "rows_current": report.rows_current,
            "left_out": json.dumps(dict(left_out)),
        }
        tables = {"drift_report.json": pd.DataFrame(report.to_dict()["findings"])}
        page = pages.html(Report(f"{names.model}: drift since v{champion}", drift=report, ids={"run": run_key}))
        self._log_once(names.experiment, "drift", run_key, f"drift v{champion}", params, metrics, tables, page)

    def log_comparison(self, names: Names, log: ComparisonLog) -> None:
        """Log a comparison: parameters, metrics, both arms as a_data.json and b_data.json, the page report.html."""
        tables = {"a_data.json": log.a_data.reset_index(), "b_data.json": log.b_data.reset_index()}
        metrics = dict(log.metrics)
        page = pages.html(log.report) if log.report else None
        self._log_once(names.comparison, "comparison", log.run_key, log.run_name, log.params, metrics, tables, page)

    def _log_once(
        self,
        experiment: str,
        kind: str,
        run_key: str,
        name: str,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        tables: Mapping[str, pd.DataFrame],
        page: str | None,
    ) -> None:
        experiment_id = self._server.experiment(experiment)
        earlier = self._server.runs(experiment_id, run_key, kind)
        if any(run.info.status == "FINISHED" for run in earlier):
            return
        self._server.kill(earlier)
        tags = {RUN_KEY: run_key, KIND: kind, MLFLOW_LOGGED_ARTIFACTS: json.dumps([_shown(file) for file in tables])}
        run_id = self._server.start(experiment_id, name, tags)
        self._server.log(run_id, params, {key: value for key, value in metrics.items() if isfinite(value)})
        files = {file: _table(table) for file, table in tables.items()}
        self._server.upload(run_id, files if page is None else {**files, PAGE: page.encode()})
        self._server.finish(run_id)


def _metrics(report: DriftReport) -> dict[str, float]:
    """Return COLUMN.FIGURE of each column's first finding, COLUMN.TEST.FIGURE of its others."""
    metrics: dict[str, float] = {}
    seen: set[str] = set()
    for finding in report.findings:
        column = FORBIDDEN.sub("_", finding.column)
        name = f"{column}.{finding.test}" if column in seen else column
        seen.add(column)
        measured = {"statistic": finding.statistic, "p_value": finding.p_value, "effect": finding.effect}
        metrics |= {f"{name}.{figure}": value for figure, value in measured.items() if value is not None}
    return metrics


# What MLflow's log_table writes, without its eight requests for a table.
def _table(table: pd.DataFrame) -> bytes:
    return table.to_json(orient="split", index=False, date_format="iso").encode()


def _shown(file: str) -> dict[str, str]:
    return {"path": file, "type": "table"}
