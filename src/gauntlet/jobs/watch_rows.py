"""The rows of a watch: fresh ones of the A/B pool, scored by production and by the version before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gauntlet.domain import rows
from gauntlet.domain.scores import losses
from gauntlet.domain.spec import Spec
from gauntlet.jobs.frames import row_ids
from gauntlet.jobs.ports import Version
from gauntlet.jobs.run import Ports
from gauntlet.jobs.scoring import predict
from gauntlet.jobs.snapshot import require_usable
from gauntlet.jobs.watch_ports import WatchedRow, WatchLedger


@dataclass(frozen=True)
class FreshRows:
    """New rows with both losses, and what became of the others: broken ones, trained on, known, without a loss."""

    scored: Sequence[WatchedRow]
    served: int
    broken: int
    trained: int
    known: int
    unscored: int

    @property
    def text(self) -> str:
        """What is said of them."""
        others = {
            "known": self.known,
            "in a training set": self.trained,
            "that break the spec": self.broken,
            "without a finite loss": self.unscored,
        }
        named = ", ".join(f"{count:,} {what}" for what, count in others.items() if count)
        return f"{len(self.scored):,} new rows of {self.served:,}" + (f" ({named})" if named else "")


def fresh_rows(
    spec: Spec, ports: Ports, watch: WatchLedger, event: int, champion: Version, previous: Version
) -> FreshRows:
    """Ask the router for A/B rows and score those that do not count yet and that neither version was trained on."""
    sample = ports.traffic.test_rows(spec.name, [])
    served = pd.concat([sample.a, sample.b])
    unique = served[~served.index.duplicated()]
    typed = rows.typed(unique, spec)
    checked = rows.check(typed.frame, spec)
    require_usable(len(checked.kept), len(unique), {**typed.misfits, **checked.broken}, "A/B")
    ids = checked.kept.index.to_numpy(dtype=np.int64)
    trained = np.isin(ids, np.concatenate([row_ids(ports.store.get(each.snapshot)) for each in (champion, previous)]))
    known = np.isin(ids, list(watch.seen(event, ids.tolist()))) & ~trained
    scored = _scored(spec, ports, checked.kept[~trained & ~known], champion, previous)
    return FreshRows(
        scored=scored,
        served=len(served),
        broken=len(unique) - len(ids),
        trained=int(trained.sum()),
        known=int(known.sum()),
        unscored=int((~trained & ~known).sum()) - len(scored),
    )


def _scored(spec: Spec, ports: Ports, frame: pd.DataFrame, champion: Version, previous: Version) -> list[WatchedRow]:
    if frame.empty:
        return []
    truth = frame[spec.target]
    ours, theirs = (losses(truth, predict(ports, each, spec, frame), spec) for each in (champion, previous))
    usable = np.isfinite(ours) & np.isfinite(theirs)
    ids = frame.index[usable]
    return [WatchedRow(*row) for row in zip(ids.tolist(), ours[usable].tolist(), theirs[usable].tolist(), strict=True)]
