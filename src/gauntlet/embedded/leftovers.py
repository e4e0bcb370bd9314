"""Processes of the stack, known by their working directory, whoever started them and whatever they call themselves.

A process title can be overwritten and a parent can die; the working directory stays. What has a terminal is a shell of
a person.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from gauntlet.embedded import postgres
from gauntlet.embedded.layout import POSTGRES, Layout


def of_service(layout: Layout, service: str) -> list[psutil.Process]:
    """Return the processes that work for one service, this one left out."""
    return _inside(_folders(layout, service))


def of_stack(layout: Layout) -> list[psutil.Process]:
    """Return every process of the stack: the supervisor, the services and what they have started."""
    return _inside([layout.run, *_folders(layout, POSTGRES)])


def end_stack(layout: Layout, patience: float) -> None:
    """End every process of a stack whose supervisor does not answer: at once, but Postgres in its own time."""
    for _ in range(3):  # a supervisor that still lives may start one again
        found = of_stack(layout)
        database = [process for process in found if _is_postgres(process)]
        kill([process for process in found if process not in database])
        for process in database:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGINT)
        kill(psutil.wait_procs(database, patience)[1])


def kill(processes: list[psutil.Process]) -> None:
    """Kill the processes and wait until they are gone."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, 5)


def _is_postgres(process: psutil.Process) -> bool:
    try:
        return bool(process.name() == "postgres")
    except psutil.Error:
        return False


def _folders(layout: Layout, service: str) -> list[Path]:
    place = postgres.recorded(layout) if service == POSTGRES else None
    return [layout.work(service), *([place.data] if place else [])]


def _inside(folders: list[Path]) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _works_in(process, folders)]


def _works_in(process: psutil.Process, folders: list[Path]) -> bool:
    with suppress(psutil.Error, OSError):
        where = process.cwd()
        if any(where == str(folder) or where.startswith(f"{folder}{os.sep}") for folder in folders):
            return process.terminal() is None and process.status() != psutil.STATUS_ZOMBIE
    return False
