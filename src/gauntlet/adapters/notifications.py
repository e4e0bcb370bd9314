"""Notifications by URL, sent by Apprise in a process of its own.

The URLs hold passwords and tokens, which Apprise and the libraries below it log: there nothing is logged. And what
hangs ends with that process.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from typing import Any

SECONDS = 8.0
"""Until a receiver must have answered."""
START = 4.0
"""Seconds that the process itself may take besides."""

SEPARATOR = re.compile(r"\s+|,(?=\w+://)")
"""Between two URLs; a comma may also stand within one."""

log = logging.getLogger(__name__)


class AppriseNotifier:
    """Sends each message to every URL of `urls`, which are separated by spaces or commas."""

    def __init__(self, urls: str, seconds: float = SECONDS) -> None:
        self._urls = urls
        self._seconds = seconds

    def tell(self, title: str, text: str) -> None:
        """Send a message; never raises, and says in the log, without the URL, what could not be sent."""
        message = {"urls": self._urls, "title": title, "text": text, "seconds": self._seconds}
        try:
            done = subprocess.run(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", __name__],
                input=json.dumps(message),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                timeout=self._seconds + START,
                check=True,
            )
            problems = json.loads(done.stdout)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            problems = [f"nothing was sent: {type(error).__name__}"]
        for problem in problems:
            log.warning("NOTIFY_URLS, %r: %s", title, problem)


def send(urls: str, title: str, text: str, seconds: float) -> list[str]:
    """Send a message to all URLs at once and return what went wrong, by each URL's place in the list."""
    listed = [url for url in (each.strip(",") for each in SEPARATOR.split(urls)) if url]
    found: dict[int, str | None] = {}

    def one(place: int, url: str) -> None:
        found[place] = _send_one(url, title, text)

    threads = [threading.Thread(target=one, args=item) for item in enumerate(listed, 1)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"no answer within {seconds:g} s"
    problems = {place: found.get(place, late) for place in range(1, len(listed) + 1)}
    return [f"URL {place} of {len(listed)}: {problem}" for place, problem in problems.items() if problem]


def _send_one(url: str, title: str, text: str) -> str | None:
    import apprise

    sender = apprise.Apprise()
    if not sender.add(url):
        return "must be one that Apprise knows, such as ntfys://HOST/TOPIC; it is none"
    taken = sender.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT)
    return None if taken else "was not reached, or refused the message"


def _main() -> None:
    message: dict[str, Any] = json.load(sys.stdin)
    json.dump(send(**message), sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # without waiting for what hangs


if __name__ == "__main__":
    _main()
