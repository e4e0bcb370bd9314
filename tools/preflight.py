"""Looks at what set-up and start need, before anything is changed: one line for each thing that is wrong, with its remedy.

Runs on any Python from 3.6 on, so that an old one gets a clear line instead of a syntax error: no newer syntax here.
"""

import errno
import json
import os
import shutil
import socket
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NEEDED_GB = 3
PORTS = {"AIRFLOW_PORT": 8080, "MLFLOW_PORT": 5000, "ROUTER_PORT": 8000, "POSTGRES_PORT": 15432}


def main(arguments):
    problems = []
    if "--install" in arguments:
        problems += python_problems() + disk_problems()
    if "--ports" in arguments:
        problems += port_problems(settings())
    for problem in problems:
        sys.stderr.write(problem + "\n")
    return 1 if problems else 0


def python_problems():
    found = "%d.%d.%d" % sys.version_info[:3]
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return [
            "Gauntlet needs Python 3.11 to 3.13; found %s (%s). "
            "Install one, or name it: make PYTHON=/path/to/python ..." % (found, sys.executable)
        ]
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        return [
            "Set-up needs Python's modules venv and ensurepip; %s lacks %s. On Debian and Ubuntu: "
            "apt install python%d.%d-venv" % ((sys.executable, error.name) + sys.version_info[:2])
        ]
    return []


def disk_problems():
    if os.path.exists(os.path.join(ROOT, ".venv", "gauntlet-setup")):
        return []  # an environment that is brought up to date
    free = shutil.disk_usage(ROOT).free / 1e9
    if free >= NEEDED_GB:
        return []
    return ["Set-up needs %d GB of free disk in %s; found %.1f. Make room, or check out elsewhere." % (NEEDED_GB, ROOT, free)]


def port_problems(values):
    own = running_ports(values)
    problems = []
    for name in sorted(PORTS):
        given = values.get(name) or str(PORTS[name])
        if not given.isdigit() or not 0 < int(given) < 65536:
            problems.append("%s must be a port, 1 to 65535; got %r. Correct it in the environment or .env." % (name, given))
        elif int(given) not in own and not can_be_had(int(given)):
            problems.append(
                "%s must be a free port; %s is taken by %s. Stop it, or set %s to another port." % (name, given, holder(int(given)), name)
            )
    return problems


def settings():
    """Return the environment, and below it the file .env."""
    values = {}
    try:
        with open(os.path.join(ROOT, ".env"), encoding="utf-8") as file:
            for line in file:
                name, equals, value = line.strip().partition("=")
                if equals and not name.startswith("#"):
                    values[name.replace("export ", "").strip()] = value.split(" #")[0].strip().strip("\"'")
    except OSError:
        pass
    values.update((name, value) for name, value in os.environ.items() if value)
    return values


def running_ports(values):
    """Return the ports of our own stack, which may run: those are looked at again when it starts."""
    home = os.path.join(ROOT, os.path.expanduser(values.get("GAUNTLET_HOME") or ".gauntlet"))
    try:
        with open(os.path.join(home, "stack.json"), encoding="utf-8") as file:
            kept = json.load(file)
    except (OSError, ValueError):
        return set()
    return {value for name, value in kept.items() if name.endswith("_port")}


def can_be_had(port):
    probe = socket.socket()
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
    except OSError as error:
        return error.errno not in (errno.EADDRINUSE, errno.EACCES)
    finally:
        probe.close()
    return True


def holder(port):
    """Return who listens on a port, from /proc where there is one and this user may look."""
    inodes = listening_inodes(port)
    for pid in filter(str.isdigit, os.listdir("/proc")) if inodes else ():
        folder = "/proc/%s/fd" % pid
        try:
            links = [os.readlink(os.path.join(folder, name)) for name in os.listdir(folder)]
            if any(link == "socket:[%s]" % inode for link in links for inode in inodes):
                with open("/proc/%s/cmdline" % pid, encoding="utf-8", errors="replace") as file:
                    return "process %s (%s)" % (pid, file.read().replace("\0", " ").strip()[:80])
        except OSError:
            continue
    return "a process of another user" if inodes else "another process"


def listening_inodes(port):
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                rows = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue
        found |= {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
