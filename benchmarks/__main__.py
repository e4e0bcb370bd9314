"""Every benchmark, one after the other: `make bench`. A stack that runs is restarted."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gauntlet import bootstrap

HERE = Path(__file__).parent


def main() -> int:
    """Run them; the exit code is that of the first that fails."""
    for script in ("router.py", "stack.py"):
        print(f"\n=== benchmarks/{script} ===", flush=True)
        if script == "stack.py":
            start_stack()
        done = subprocess.run([sys.executable, HERE / script], check=False)
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
