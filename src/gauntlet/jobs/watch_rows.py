"""The rows of a watch: fresh ones of the A/B pool, scored by production and by the version before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gauntlet.domain import rows
from gauntlet.domain.promotion_policy import PromotionPolicy
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
    """New rows with both losses, and what became of the others: broken ones, trained on, known, not predicted.

    `missed` are the rows without a finite loss by production (of this number) and by the version before it.
    """

    scored: Sequence[WatchedRow]
    served: int
    broken: int
    trained: int
    known: int
    champion: int
    previous: int
    missed: tuple[int, int]

    @property
    def text(self) -> str:
        """What is said of them."""
        others = {
            "known": self.known,
            "in a training set": self.trained,
            "that break the spec": self.broken,
            f"without a prediction of v{self.champion}": self.missed[0],
            f"without a prediction of v{self.previous}": self.missed[1],
        }
        named = ", ".join(f"{count:,} {what}" for what, count in others.items() if count)
        return f"{len(self.scored):,} new rows of {self.served:,}" + (f" ({named})" if named else "")

    @property
    def silent(self) -> bool:
        """Whether production leaves more rows without a prediction than the version before it and the policy allow.

        Known rows have one of both: a pool that is nearly spent would seem to fail otherwise.
        """
        tried = self.served - self.broken - self.trained
        return self.missed[0] - self.missed[1] > PromotionPolicy.failures * tried


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
    scored, missed = _scored(spec, ports, checked.kept[~trained & ~known], champion, previous)
    return FreshRows(
        scored=scored,
        served=len(served),
        broken=len(unique) - len(ids),
        trained=int(trained.sum()),
        known=int(known.sum()),
        champion=champion.version,
        previous=previous.version,
        missed=missed,
    )


def _scored(
    spec: Spec, ports: Ports, frame: pd.DataFrame, champion: Version, previous: Version
) -> tuple[list[WatchedRow], tuple[int, int]]:
    if frame.empty:
        return [], (0, 0)
    truth = frame[spec.target]
    ours, theirs = (losses(truth, predict(ports, each, spec, frame), spec) for each in (champion, previous))
    usable = np.isfinite(ours) & np.isfinite(theirs)
    ids, missed = frame.index[usable], (int((~np.isfinite(ours)).sum()), int((~np.isfinite(theirs)).sum()))
    scored = zip(ids.tolist(), ours[usable].tolist(), theirs[usable].tolist(), strict=True)
    return [WatchedRow(*row) for row in scored], missed
