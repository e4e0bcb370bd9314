"""Serving the application with granian: its workers, their end, and the folder they count in."""

import ctypes
import gc
import logging
import os
import signal
import sys

import pyarrow as pa
from flask import Flask
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from router.app import create_app
from router.catalogue import Catalogue
from router.settings import Settings

# A request whose body never arrives holds one thread of its worker; 256 of them can before others wait.
THREADS = 256
SECONDS_TO_STOP = 3
PR_SET_PDEATHSIG = 1
log = logging.getLogger(__name__)


class WorkerApp:
    """Makes the application inside a worker; what the master has loaded is shared with it where processes fork."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._master = os.getpid()

    def __call__(self, _target: str) -> Flask:
        """The application of this worker, which ends with its master."""
        logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="router %(levelname)s %(message)s")
        self._end_with_master()
        self._catalogue.get(self._settings.default_spec)
        return create_app(self._settings, self._catalogue)

    def _end_with_master(self) -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self._master:
                # It went before the kernel was asked to tell.
                os._exit(1)


def serve(settings: Settings) -> None:
    """Load the default spec, then serve until SIGTERM or SIGINT.

    Raises:
        Refused: when the default spec cannot be served.
    """
    catalogue = Catalogue(settings)
    catalogue.get(settings.default_spec)
    pa.default_memory_pool().release_unused()
    # What is loaded now stays: the collector shall not touch the pages that the workers share.
    gc.freeze()
    log.info("serving on http://%s:%d with %d workers", settings.host, settings.port, settings.workers)
    Server(
        "router",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=THREADS,
        backpressure=2 * THREADS,
        respawn_failed_workers=True,
        workers_kill_timeout=SECONDS_TO_STOP,
        websockets=False,
        # One line per start and per restart is enough: refusals are logged by the application, good answers not at all.
        log_level=LogLevels.error,
    ).serve(target_loader=WorkerApp(settings, catalogue))
