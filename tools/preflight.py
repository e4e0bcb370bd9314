"""Looks at what set-up and start need, before anything is changed; one line for each thing that is wrong.

Runs on any Python from 3.6 on, so that an old one gets a clear line and no syntax error: no newer syntax here.
"""

import errno
import json
import os
import shutil
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED_GB = 3
PORTS = {"AIRFLOW_PORT": 8080, "MLFLOW_PORT": 5000, "ROUTER_PORT": 8000, "POSTGRES_PORT": 15432}


def main(arguments):
    """Print what is wrong, or with --home where the state folder is; return the exit code."""
    if "--home" in arguments:
        print(home(settings()))  # noqa: T201 - a shell reads it
        return 0
    problems = []
    if "--install" in arguments:
        problems += python_problems() + disk_problems()
    if "--ports" in arguments:
        problems += port_problems(settings())
    for problem in problems:
        sys.stderr.write(problem + "\n")
    return 1 if problems else 0


def python_problems():
    """Return what is wrong with the Python that runs this."""
    found = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return [
            f"Gauntlet needs Python 3.11 to 3.13; found {found} ({sys.executable}). "
            "Install one, or name it: make PYTHON=/path/to/python ..."
        ]
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        return [
            f"Set-up needs Python's modules venv and ensurepip; {sys.executable} lacks {error.name}. "
            f"On Debian and Ubuntu: apt install python{found.rpartition('.')[0]}-venv"
        ]
    return []


def disk_problems():
    """Return what is wrong with the disk, for a first set-up."""
    if (ROOT / ".venv" / "gauntlet-setup").exists():
        return []  # an environment that is brought up to date
    free = shutil.disk_usage(str(ROOT)).free / 1e9
    if free >= NEEDED_GB:
        return []
    return [f"Set-up needs {NEEDED_GB} GB of free disk in {ROOT}; found {free:.1f}. Make room, or check out elsewhere."]


def port_problems(values):
    """Return what is wrong with the ports of the settings."""
    own = running_ports(values)
    problems = []
    for name in sorted(PORTS):
        given = values.get(name) or str(PORTS[name])
        if not given.isdecimal() or not 0 < int(given) < 65536:
            problems.append(f"{name} must be a port, 1 to 65535; got {given!r}. Correct it in the environment or .env.")
        elif int(given) not in own:
            problems += [f"{name} must be a free port; {trouble}" for trouble in port_trouble(name, int(given))]
    return problems


def settings():
    """Return the environment, and below it the file .env."""
    values = {}
    try:
        with (ROOT / ".env").open(encoding="utf-8") as file:
            for line in file:
                name, equals, value = line.strip().partition("=")
                if equals and not name.startswith("#"):
                    values[name.replace("export ", "").strip()] = value.split(" #")[0].strip().strip("\"'")
    except OSError:
        pass
    values.update((name, value) for name, value in os.environ.items() if value.strip())
    return values


def home(values):
    """Return the state folder."""
    return ROOT / Path(values.get("GAUNTLET_HOME") or ".gauntlet").expanduser()


def running_ports(values):
    """Return the ports of our own stack, which may run: those are looked at again when it starts."""
    try:
        kept = json.loads((home(values) / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {value for name, value in kept.items() if name.endswith("_port")}


def port_trouble(name, port):
    """Return why no service could listen on this port, and what to do; nothing when one could."""
    probe = socket.socket()
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
    except OSError as error:
        if error.errno == errno.EACCES:
            return [f"{port} is one that this user may not listen on. Set {name} to a port from 1024 on."]
        if error.errno == errno.EADDRINUSE:
            return [f"{port} is taken by {holder(port)}. Stop it, or set {name} to another port."]
    finally:
        probe.close()
    return []


def holder(port):
    """Return who listens on a port, from /proc where there is one and this user may look."""
    inodes = listening_inodes(port)
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        try:
            if any(file.resolve().name in wanted for file in (process / "fd").iterdir()):
                command = (process / "cmdline").read_text(encoding="utf-8", errors="replace")
                return f"process {process.name} ({command.replace(chr(0), ' ').strip()[:80]})"
        except OSError:
            continue
    return "a process of another user" if inodes else "another process"


def listening_inodes(port):
    """Return the sockets that listen on this port, on whichever address."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [line.split() for line in Path(table).read_text(encoding="ascii").splitlines()[1:]]
        except OSError:
            continue
        found |= {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
