"""Start the router: `python -m router`, set up by environment variables (see settings.py)."""

import logging
import os
import socket
import sys
from contextlib import closing

from router.errors import Refused
from router.metrics_folder import metrics_folder
from router.settings import Settings, SettingsError
from router.specs import DataError

log = logging.getLogger("router")


def main() -> int:
    """Serve until told to stop; 2 when the router cannot start, with the reason in one place."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="router %(levelname)s %(message)s")
    try:
        settings = Settings.from_env(os.environ)
        refuse_taken_port(settings.host, settings.port)
        with metrics_folder():
            # Importing it decides how requests are counted: the folder must be named before.
            from router.server import serve

            serve(settings)
    except (SettingsError, DataError, Refused) as error:
        log.error("%s", error)  # noqa: TRY400 - the reason is the whole message
        return 2
    return 0


def refuse_taken_port(host: str, port: int) -> None:
    """Refuse a port that somebody listens on: the server shares ports between workers, so it would not notice."""
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"ROUTER_PORT must be free on {host}; found {port} in use ({error.strerror})."
            ) from error


if __name__ == "__main__":
    sys.exit(main())
