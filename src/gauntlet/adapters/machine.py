"""The machine as the doctor looks at it: Python and its packages, memory, disk, files."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from gauntlet.jobs.doctor import Finding

GB = 1e9
SHOWN = 3


def check_python(package: str) -> list[Finding]:
    """Compare this Python and the installed packages with what `package` asks for."""
    wanted = importlib.metadata.metadata(package)["Requires-Python"]
    found = platform.python_version()
    if not SpecifierSet(wanted).contains(found):
        text = f"Gauntlet needs Python {wanted}; this is {found} ({sys.executable})."
        return [Finding("versions", text, "Install one, then name it: make setup PYTHON=/path/to/python")]
    wrong = [line for line in map(_wrong_package, importlib.metadata.requires(package) or []) if line]
    if not wrong:
        return []
    text = f"The installed packages must be those of the lock; found: {_some(wrong)}."
    return [Finding("versions", text, "Install what the lock says: make setup")]


def check_memory(total: int, available: int, *, needed_gb: float, free_gb: float, whose: str) -> list[Finding]:
    """Compare memory in bytes with what the stack needs in all, and with what must be free of it now."""
    if total < needed_gb * GB:
        text = f"{whose} must have {needed_gb:g} GB of memory; found {total / GB:.1f}."
        return [Finding("memory", text, "Give it more, or use a larger machine.")]
    if available < free_gb * GB:
        text = f"{free_gb:g} GB of memory must be free on {whose}; found {available / GB:.1f}."
        return [Finding("memory", text, "End other programs.")]
    return []


def check_own_memory(needed_gb: float, *, running: bool) -> list[Finding]:
    """Look at this machine's memory; a stack that runs has its share already."""
    found = psutil.virtual_memory()
    free = 0.2 if running else 2.0
    return check_memory(found.total, found.available, needed_gb=needed_gb, free_gb=free, whose="this machine")


def check_disk(folder: Path, *, free_gb: float, what: str) -> list[Finding]:
    """Look at the free disk below a folder, which need not be there yet."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(there).free
    if free >= free_gb * GB:
        return []
    text = f"{what} needs {free_gb:g} GB of free disk in {folder}; found {free / GB:.2f}."
    return [Finding("disk", text, "Make room there: gauntlet needs it for databases, models and logs.")]


def check_private(files: Iterable[Path], check: str) -> list[Finding]:
    """Look whether files with secrets are closed to all but their owner."""
    open_ones = [path for path in files if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    return [
        Finding(
            check,
            f"{path} holds secrets and must be readable by its owner alone; its mode is {_mode(path)}.",
            f"chmod go= {path}",
        )
        for path in open_ones
    ]


def check_readable_by_all(folders: Iterable[Path], uid: int) -> list[Finding]:
    """Look whether the user `uid` of the containers can read what is mounted into them; Linux alone keeps modes."""
    if sys.platform != "linux":
        return []
    found = []
    for folder in folders:
        closed = [path for path in (folder, *sorted(folder.rglob("*"))) if _closed(path, uid)]
        if closed:
            names = _some([f"{path} ({_mode(path)})" for path in closed])
            text = f"The containers' user {uid} must be able to read {folder}; it cannot read {names}."
            found.append(Finding("folders", text, f"chmod -R o+rX {folder}"))
    return found


def check_folder(folder: Path, what: str) -> list[Finding]:
    """Look whether a folder, where it is there, can be written to."""
    if not folder.exists() or (folder.is_dir() and os.access(folder, os.R_OK | os.W_OK | os.X_OK)):
        return []
    text = f"{what} must be a folder that this user may read and write; {folder} is not."
    return [Finding("folders", text, "Give it back to this user, or set GAUNTLET_HOME to another folder.")]


def _closed(path: Path, uid: int) -> bool:
    if "__pycache__" in path.parts:
        return False
    found = path.stat()
    needed = 0o5 if path.is_dir() else 0o4
    return (found.st_mode >> (6 if found.st_uid == uid else 0)) & needed != needed


def _wrong_package(line: str) -> str | None:
    wanted = Requirement(line)
    if wanted.marker is not None and not wanted.marker.evaluate():
        return None
    try:
        found = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{wanted.name} is missing"
    return None if wanted.specifier.contains(found, prereleases=True) else f"{wanted} is {found}"


def _mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):o}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
