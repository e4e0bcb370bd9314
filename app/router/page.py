"""The page at /: what the router serves, its current traffic, its limits, and examples."""

import json

from flask import render_template

from router.dataset import Dataset
from router.drift import KINDS
from router.errors import Refused


def render(dataset: Dataset, traffic: dict[str, object] | Refused, specs: list[str]) -> str:
    """The page for one spec; `traffic` may be the reason why it cannot be shown."""
    return render_template(
        "page.html",
        spec=dataset.spec,
        specs=specs,
        columns=[(column.name, "number" if column.numeric else "category") for column in dataset.columns],
        pools={"training": len(dataset.training), "ab": len(dataset.ab)},
        largest=dataset.smaller_pool,
        traffic_json=json.dumps(traffic.to_dict() if isinstance(traffic, Refused) else traffic, indent=2),
        kinds=KINDS,
    )
