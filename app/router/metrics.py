"""Counts and times of requests, over all workers: each worker writes to a shared folder, any of them adds it up."""

import os
import time

from flask import Flask, Response, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)

METHODS = {"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
requests_total = Counter("router_requests", "Requests by address, method and status", ["endpoint", "method", "status"])
request_seconds = Histogram("router_request_seconds", "Seconds in the router", ["endpoint"], buckets=SECONDS)
rows_total = Counter("router_rows", "Rows served by address and spec", ["endpoint", "spec"])


def register(app: Flask) -> None:
    """Measure every request of `app`."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.began = time.perf_counter()


def _end(response: Response) -> Response:
    endpoint = request.url_rule.rule if request.url_rule else "unknown"
    method = request.method if request.method in METHODS else "other"
    requests_total.labels(endpoint, method, str(response.status_code)).inc()
    request_seconds.labels(endpoint).observe(time.perf_counter() - g.began)
    return response


def exposition() -> Response:
    """Everything measured, as Prometheus reads it."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
