"""Every benchmark, one after the other: `make bench`. A stack that runs is restarted."""

import subprocess
import sys
import time
from collections.abc import Callable

from gauntlet import bootstrap


def main() -> int:
    """Run them; the exit code is that of the first that fails."""
    for name in ("drift", "drift_rule", "promotion", "watch", "score", "router", "stack"):
        print(f"\n=== benchmarks.{name} ===", flush=True)
        if name == "stack":
            start_stack()
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False)
        if done.returncode:
            return done.returncode
    return 0


def start_stack() -> None:
    """Stop and start the stack, and say how long each takes."""
    actions: dict[str, Callable[[], None]] = {
        "down": lambda: bootstrap.stack().stop(print),
        "up": lambda: bootstrap.start_stack(print),
    }
    for name, action in actions.items():
        began = time.monotonic()
        action()
        print(f"gauntlet {name}: {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
