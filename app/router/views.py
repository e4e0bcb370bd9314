"""What each address answers."""

from dataclasses import replace

import numpy as np
import orjson
from flask import Response, request

from router import metrics
from router.answers import ARROW, Sample, arms_of, arrow_stream, sample, split_json
from router.catalogue import Catalogue
from router.columns import Positions
from router.dataset import Dataset
from router.errors import Refused, answer, bad
from router.page import render
from router.store import TrafficStore
from router.strict_json import read_object
from router.traffic import (
    REQUEST_KEYS,
    WHOLE,
    TrafficConfig,
    merged,
    parse_columns,
    parse_seed,
    parse_size,
    refuse_unknown,
)

Options = dict[str, object]


class Views:
    """The addresses of the router, over its data sets and the stored traffic."""

    def __init__(self, catalogue: Catalogue, store: TrafficStore) -> None:
        self._catalogue = catalogue
        self._store = store

    def traffic(self) -> Response:
        """GET: the current traffic. POST: change some of it; a refused change changes nothing."""
        dataset = self._catalogue.get(str(_query(("spec",)).get("spec", self._catalogue.default)))
        if request.method != "POST":
            return _json(self._current(dataset).to_dict())
        body = read_object(request)

        def change(stored: object) -> dict[str, object]:
            return TrafficConfig.parse(merged(_stored_or_start(stored, dataset), body), dataset).to_dict()

        return _json({"status": "updated", "traffic": self._store.update(dataset.spec.name, change)})

    def get_data(self) -> Response:
        """Rows of the training pool."""
        dataset, config = self._asked()
        sampled = _sampled(dataset, dataset.training, config)
        if _wants_arrow():
            return _rows(arrow_stream(sampled, config), ARROW, sampled, config)
        return _rows(split_json(sampled, 0, config.data_size), "application/json", sampled, config)

    def ab_data(self) -> Response:
        """Rows of the A/B pool, parted by the shares of the traffic."""
        dataset, config = self._asked()
        sampled = _sampled(dataset, dataset.ab, config)
        first = round(config.a * config.data_size)
        if _wants_arrow():
            return _rows(arrow_stream(sampled, config, arms_of(config.data_size, first)), ARROW, sampled, config)
        a, b = split_json(sampled, 0, first), split_json(sampled, first, config.data_size)
        return _rows(b'{"a_data":' + a + b',"b_data":' + b + b"}", "application/json", sampled, config)

    def health(self) -> Response:
        """Whether the router can serve: the data is there and the database answers."""
        _query(())
        try:
            dataset = self._catalogue.get(self._catalogue.default)
            self._store.read(dataset.spec.name)
        except Refused as refused:
            return answer(Refused(503, refused.rule, refused.found, refused.remedy))
        return _json({"status": "ok", "spec": dataset.spec.name, "rows": len(dataset.row_ids)})

    def metrics(self) -> Response:
        """Counts and times, for Prometheus."""
        _query(())
        return metrics.exposition()

    def page(self) -> str:
        """What the router is and does, for a person."""
        dataset = self._catalogue.get(str(_query(("spec",)).get("spec", self._catalogue.default)))
        try:
            traffic: dict[str, object] | Refused = self._current(dataset).to_dict()
        except Refused as refused:
            traffic = refused
        return render(dataset, traffic, self._catalogue.names())

    def _current(self, dataset: Dataset) -> TrafficConfig:
        stored = self._store.read(dataset.spec.name)
        try:
            return TrafficConfig.parse(_stored_or_start(stored, dataset), dataset)
        except Refused as refused:
            # It was right when it was stored: the data have changed since.
            rule = f"The stored traffic no longer fits the data: {refused.rule}"
            raise Refused(409, rule, refused.found, "POST /traffic (or: gauntlet traffic) what fits.") from refused

    def _asked(self) -> tuple[Dataset, TrafficConfig]:
        """The data set and the traffic of this request: the stored one, with what the request overrides."""
        options = _options()
        name = options.pop("spec", self._catalogue.default)
        if not isinstance(name, str):
            raise bad("spec must be the name of a spec", name, f"Known: {', '.join(self._catalogue.names())}.")
        dataset = self._catalogue.get(name)
        config = self._current(dataset)
        if "data_size" in options:
            config = replace(config, data_size=parse_size(options["data_size"], dataset))
        if "drift_cols" in options:
            config = replace(config, drift_cols=parse_columns(options["drift_cols"], dataset))
        if "seed" in options:
            seed = options["seed"]
            config = replace(config, seed=None if seed is None else parse_seed(seed))
        return dataset, config


def _stored_or_start(stored: object, dataset: Dataset) -> dict[str, object]:
    """The stored traffic, its size no larger than the data that are served now; the start where nothing is stored."""
    if not isinstance(stored, dict):
        return TrafficConfig.start(dataset).to_dict()
    return {**stored, "data_size": min(stored["data_size"], dataset.smaller_pool)}


def _options() -> Options:
    """What this request overrides, from the query and from the body of a POST."""
    options = _query(REQUEST_KEYS)
    body = read_object(request) if request.method == "POST" else {}
    refuse_unknown(body, REQUEST_KEYS, "The body")
    for name in body:
        if name in options:
            raise bad("A key may stand once, in the query or in the body", name, "Send each key once.")
    return options | body


def _query(known: tuple[str, ...]) -> Options:
    """The query parameters, read into the types that a body would have."""
    given = request.args
    refuse_unknown(given, known, "The query")
    options: Options = {}
    for name in given:
        values = given.getlist(name)
        if name == "drift_cols":
            options[name] = [] if values == [""] else [part for value in values for part in value.split(",")]
        elif len(values) > 1:
            raise bad("A query parameter may stand once", name, "Send each parameter once.")
        else:
            number = name != "spec" and WHOLE.fullmatch(values[0])
            options[name] = int(values[0]) if number else values[0]
    return options


def _sampled(dataset: Dataset, pool: Positions, config: TrafficConfig) -> Sample:
    return sample(dataset, pool, config, np.random.default_rng(config.seed))


def _wants_arrow() -> bool:
    # Only when it is named: */* gets JSON. Where both are named alike, as by the pipeline, it is Arrow.
    accepted = request.accept_mimetypes
    named = any(mimetype == ARROW for mimetype, _ in accepted)
    return named and 0 < accepted[ARROW] >= accepted["application/json"]


def _rows(body: bytes, mimetype: str, sampled: Sample, config: TrafficConfig) -> Response:
    metrics.rows_total.labels(request.path, sampled.dataset.spec.name).inc(len(sampled.positions))
    return Response(body, mimetype=mimetype, headers={"X-Gauntlet-Traffic": config.to_json(), "Vary": "Accept"})


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), mimetype="application/json")
