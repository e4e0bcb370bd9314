"""The supervisor that keeps the services running: its configuration, and the door to the one that runs."""

from __future__ import annotations

import subprocess
import sys
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport

from gauntlet.embedded.layout import POSTGRES, SERVICES, SUPERVISOR, Layout
from gauntlet.jobs.stack import StackError

# Paths reach the supervisor through its environment or relative to its working directory: none needs escaping here.
_HEAD = """\
[unix_http_server]
file=%(ENV_GAUNTLET_SOCKET)s
chmod=0700

[supervisord]
logfile=../logs/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile=supervisord.pid
umask=077
{user}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""

# Nothing starts by itself: what starts when is said in stack.py. What has been started is started again when it ends.
_PROGRAM = """
[program:{service}]
command=%(ENV_GAUNTLET_LAUNCH)s {service} %(ENV_GAUNTLET_HOME)s
directory={service}
autostart=false
autorestart=true
startsecs=1
startretries=20
stopsignal={stopsignal}
stopwaitsecs=12
stopasgroup={stopasgroup}
killasgroup=true
redirect_stderr=true
stdout_logfile=../logs/{service}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""

DEAD = ("STOPPED", "EXITED", "FATAL")


@dataclass(frozen=True)
class Process:
    """What the supervisor knows of a service; `state` in its own words (STARTING, RUNNING, BACKOFF, FATAL ...)."""

    state: str
    pid: int | None
    started: int  # Unix time of its newest start, 0 before the first
    reason: str


def render(*, as_root: bool) -> str:
    """Return the supervisor's configuration; it is the same for every stack and holds no secret."""
    programs = (
        _PROGRAM.format(
            service=service,
            # SIGINT is Postgres's fast shutdown; its own processes are its own business
            stopsignal="INT" if service == POSTGRES else "TERM",
            stopasgroup="false" if service == POSTGRES else "true",
        )
        for service in SERVICES
    )
    return _HEAD.format(user="user=root\n" if as_root else "") + "".join(programs)


class Supervisor:
    """The supervisor of one state folder."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def start(self) -> None:
        """Start the supervisor as a daemon of its own session; raises StackError with what it said when it does not."""
        self._layout.socket.unlink(missing_ok=True)
        done = subprocess.run(  # noqa: S603
            launch_command(SUPERVISOR, self._layout.home),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise StackError(
                f"supervisord must start; it ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}"
            )

    def alive(self) -> bool:
        """Say whether the supervisor answers."""
        try:
            return bool(self._rpc().getState()["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error):
            return False

    def processes(self) -> dict[str, Process]:
        """Return what is known of each service; nothing when no supervisor runs."""
        try:
            found = cast("list[dict[str, Any]]", self._rpc().getAllProcessInfo())
        except (OSError, xmlrpc.client.Error):
            return {}
        return {
            each["name"]: Process(each["statename"], each["pid"] or None, each["start"], each["spawnerr"])
            for each in found
        }

    def start_service(self, service: str) -> None:
        """Start a service that does not run, without waiting for it."""
        if self.processes()[service].state in DEAD:
            self._rpc().startProcess(service, False)

    def stop_service(self, service: str) -> None:
        """Stop a service that runs, without waiting for it."""
        if self.processes()[service].state not in DEAD:
            self._rpc().stopProcess(service, False)

    def shutdown(self) -> None:
        """Ask the supervisor to stop what still runs and to end."""
        self._rpc().shutdown()

    def _rpc(self) -> Any:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._layout.socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor


def launch_command(service: str, home: Path) -> list[str]:
    """Return the command that runs a service in this state folder."""
    return [sys.executable, "-P", "-m", "gauntlet.embedded.launch", service, str(home)]
