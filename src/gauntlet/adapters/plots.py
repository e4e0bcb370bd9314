"""Small pictures of a trained candidate, drawn without matplotlib's global state."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

INCHES = (6.0, 4.0)
DPI = 90
SHOWN_POINTS = 2000
SHOWN_FEATURES = 15
WRITTEN_CLASSES = 12
WRITTEN_LETTERS = 18
BLUE = "#3b6ea5"


def residuals(title: str, truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> bytes:
    """Return a PNG of residuals (truth - prediction) over predictions, of at most 2,000 rows evenly taken."""
    step = -(-len(truth) // SHOWN_POINTS) or 1
    x, y = predicted[::step], (truth - predicted)[::step]
    figure = Figure(figsize=INCHES, dpi=DPI)
    axes = figure.add_subplot()
    axes.plot(x, y, ".", color=BLUE, markersize=3, alpha=0.5)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(title=title, xlabel="prediction (out of fold)", ylabel="truth - prediction")
    return _png(figure)


def confusion(title: str, truth: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> bytes:
    """Return a PNG of the confusion matrix: share of each true class (row) that was given each class (column)."""
    place = {name: index for index, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)))
    np.add.at(counts, ([place[name] for name in truth], [place[name] for name in predicted]), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=INCHES, dpi=DPI)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares) if len(classes) <= WRITTEN_CLASSES else ():
        axes.text(column, row, f"{share:.2f}", ha="center", va="center", color="white" if share > 0.5 else "black")
    axes.set(title=title, xlabel="predicted (out of fold)", ylabel="truth")
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    return _png(figure)


def importances(title: str, values: Mapping[str, float]) -> bytes:
    """Return a PNG of the 15 greatest feature importances."""
    chosen = sorted(values.items(), key=lambda item: -abs(item[1]))[:SHOWN_FEATURES][::-1]
    figure = Figure(figsize=INCHES, dpi=DPI)
    axes = figure.add_subplot()
    axes.barh(range(len(chosen)), [value for _, value in chosen], color=BLUE)
    names = [name if len(name) <= WRITTEN_LETTERS else f"{name[: WRITTEN_LETTERS - 3]}..." for name, _ in chosen]
    axes.set_yticks(range(len(chosen)), names)
    axes.set(title=title, xlabel="rise in mean loss when shuffled")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    figure.subplots_adjust(left=0.24, right=0.97, top=0.91, bottom=0.13)
    buffer = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
