"""Every benchmark, one after the other: `make bench`. A stack that runs is restarted."""

import subprocess
import sys
import time
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
    settings = bootstrap.load_settings()
    for name, action in (("down", bootstrap.stop_stack), ("up", bootstrap.start_stack)):
        began = time.monotonic()
        action(settings, lambda _: None)
        print(f"gauntlet {name}: {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
