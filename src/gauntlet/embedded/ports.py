"""Ports: whether each can be had on 127.0.0.1, and who has it if not."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping

import psutil

from gauntlet.jobs.stack import StackError

HOST = "127.0.0.1"


def check(ports: Mapping[str, int]) -> None:
    """Raise StackError with a line for each port that cannot be had; `ports` by the variable that sets each."""
    problems = [line for line in (_problem(name, port) for name, port in ports.items()) if line]
    problems += _doubled(ports)
    if problems:
        raise StackError("\n".join(problems))


def holder(port: int) -> str:
    """Return who listens on a port, as far as this user may know."""
    try:
        found = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr[1:2] == (port,)]
        process = psutil.Process(next(c.pid for c in found if c.pid))
        return f"process {process.pid} ({' '.join(process.cmdline())[:80] or process.name()})"
    except (psutil.Error, StopIteration):
        return "a process of another user"


def _problem(name: str, port: int) -> str | None:
    with socket.socket() as probe:
        # as the services do: a port whose old connections linger can be had
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            return f"{name} must be a port that this user may open; {port} is not. Set {name} to one from 1024 on."
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return (
                f"{name} must be a free port; {port} is taken by {holder(port)}. "
                f"Stop it, or set {name} to another port."
            )
    return None


def _doubled(ports: Mapping[str, int]) -> list[str]:
    by_port: dict[int, list[str]] = {}
    for name, port in ports.items():
        by_port.setdefault(port, []).append(name)
    return [
        f"Each service needs a port of its own; {' and '.join(names)} are both {port}. Change one."
        for port, names in by_port.items()
        if len(names) > 1
    ]
