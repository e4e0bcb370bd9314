"""The services' logs: their end, and what is added to them."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a file; none for a file that is not there."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=lines)]
    except FileNotFoundError:
        return []


def follow(path: Path, pause: float = 0.3) -> Iterator[str]:
    """Yield each line that is added from now on, also after the log has been rotated or was not there before."""
    file = _open_at_end(path)
    rest = ""
    while True:
        rest += file.read() if file else ""
        *whole, rest = rest.split("\n")
        yield from whole
        if file is None or _rotated(path, file):
            file = _reopen(path, file)
        else:
            time.sleep(pause)


def _open_at_end(path: Path) -> TextIO | None:
    file = _reopen(path, None)
    if file:
        file.seek(0, 2)
    return file


def _reopen(path: Path, old: TextIO | None) -> TextIO | None:
    if old:
        old.close()
    try:
        return path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        time.sleep(0.3)
        return None


def _rotated(path: Path, file: TextIO) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return found.st_ino != os.fstat(file.fileno()).st_ino
