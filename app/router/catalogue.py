"""The data sets by spec: read at first use, and read anew when the spec or its data file changes."""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from router.dataset import Dataset, load
from router.errors import Refused
from router.settings import Settings
from router.specs import DataError, data_path, names, read_spec, spec_path

Stamp = tuple[int, int, int]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Loaded:
    dataset: Dataset
    spec_stamp: Stamp
    data: Path
    data_stamp: Stamp


class Catalogue:
    """Every data set the router serves."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._loaded: dict[str, _Loaded] = {}
        self._locks: dict[str, threading.Lock] = {}

    def __reduce__(self) -> tuple[type["Catalogue"], tuple[Settings]]:
        # A worker that is spawned, not forked (macOS), reads the data by itself.
        return (Catalogue, (self.settings,))

    @property
    def default(self) -> str:
        """The spec that is served when none is named."""
        return self.settings.default_spec

    def names(self) -> list[str]:
        """The specs there are."""
        return names(self.settings.specs_dir)

    def get(self, name: str) -> Dataset:
        """The data of the spec `name`; refused when there is none (400, 404) or it cannot be served (503)."""
        path = spec_path(self.settings.specs_dir, name)
        try:
            loaded = self._loaded.get(name)
            if loaded is None or _changed(loaded, path):
                with self._locks.setdefault(name, threading.Lock()):
                    loaded = self._loaded.get(name)
                    if loaded is None or _changed(loaded, path):
                        loaded = self._loaded[name] = self._load(name, path)
        except (DataError, OSError) as error:
            raise Refused(503, f"The data of {name} must be served", error, "Mend the spec or its file.") from error
        return loaded.dataset

    def _load(self, name: str, path: Path) -> _Loaded:
        spec_stamp = _stamp(path)
        spec = read_spec(path)
        data = self._data_file(name, spec.data)
        data_stamp = _stamp(data)
        dataset = load(spec, data, self.settings.ab_pool_share)
        log.info("%s: %d rows, %d of them for A/B", name, len(dataset.row_ids), len(dataset.ab))
        return _Loaded(dataset, spec_stamp, data, data_stamp)

    def _data_file(self, name: str, data: str) -> Path:
        if name == self.default and self.settings.data_file is not None:
            return data_path(self._in_data_folder(self.settings.data_file), self.settings.data_root)
        return data_path(data, self.settings.data_root)

    def _in_data_folder(self, named: Path) -> str:
        """DATA_FILE may be the bare name of a file in the folder data."""
        root, inside = self.settings.data_root, Path("data", named)
        return str(inside if (root / inside).is_file() and not (root / named).is_file() else named)


def _changed(loaded: _Loaded, path: Path) -> bool:
    return _stamp(path) != loaded.spec_stamp or _stamp(loaded.data) != loaded.data_stamp


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return (status.st_mtime_ns, status.st_size, status.st_ino)
