"""What the stack in containers costs: seconds to build and to start, image sizes, memory (PSS) and CPU at rest.

`make bench-compose`, or with --build also every image from nothing. A project of its own; nothing of it is left.
Memory is read from /proc, so on Linux as root.
"""

import argparse
import os
import platform
import subprocess
import time

import psutil
from tests.driver import ComposeDriver

IMAGES = {"minio": "gauntlet-minio:2026-02-12", "databases": "gauntlet:local"}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", action="store_true", help="build the images without any cache, too")
    parser.add_argument("--idle", type=float, default=60.0, metavar="SECONDS", help="how long to watch the idle stack")
    options = parser.parse_args()
    print(f"machine: {platform.machine()}, {psutil.cpu_count()} cores")
    compose = ComposeDriver.make("gauntlet-bench")
    try:
        if options.build:
            build(compose)
        sizes(compose)
        start(compose)
        at_rest(compose, options.idle)
    finally:
        compose.remove()


def build(compose: ComposeDriver) -> None:
    """Build each image without cache."""
    for service in IMAGES:
        timed(f"image of {service}, from nothing", "build", "--no-cache", service, compose=compose)


def sizes(compose: ComposeDriver) -> None:
    """The images as `docker images` has them."""
    for image in (*IMAGES.values(), "postgres:17-trixie", "python:3.13-slim-trixie", "debian:trixie-slim"):
        print(compose.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}", image))


def start(compose: ComposeDriver) -> None:
    """Every way to start, until all is healthy."""
    compose.remove()
    for what in ("empty volumes", "again, while it runs"):
        timed(f"up, {what}", "up", "--detach", "--wait", compose=compose)
    timed("down", "down", compose=compose)
    timed("up, with its data", "up", "--detach", "--wait", compose=compose)


def timed(what: str, *command: str, compose: ComposeDriver) -> None:
    """Run a docker compose command and print how long it took."""
    began = time.monotonic()
    subprocess.run(
        ["docker", "compose", "--progress", "quiet", *command],
        env={**os.environ, **compose.env}, check=True, capture_output=True,
    )  # fmt: skip
    print(f"{what}: {time.monotonic() - began:.1f} s", flush=True)


def at_rest(compose: ComposeDriver, seconds: float) -> None:
    """Memory and CPU of each container, some time after it has started."""
    time.sleep(30)  # what starting costs is over
    heads = {service: psutil.Process(compose.process(service)) for service in compose.services}
    before = {service: cpu(family(head)) for service, head in heads.items()}
    time.sleep(seconds)
    print(f"\n{'container':<24} {'PSS MB':>8} {'CPU % of a core':>16}   (idle for {seconds:.0f} s)")
    memory = {
        service: sum(each.memory_full_info().pss for each in family(head)) / 2**20 for service, head in heads.items()
    }
    used = {service: 100 * (cpu(family(head)) - before[service]) / seconds for service, head in heads.items()}
    for service in heads:
        print(f"{service:<24} {memory[service]:>8.0f} {used[service]:>16.1f}")
    print(f"{'in all':<24} {sum(memory.values()):>8.0f} {sum(used.values()):>16.1f}")


def family(head: psutil.Process) -> list[psutil.Process]:
    """A process and its descendants."""
    return [head, *head.children(recursive=True)]


def cpu(members: list[psutil.Process]) -> float:
    """CPU seconds that processes have used, with the children they have waited for."""
    times = [member.cpu_times() for member in members]
    return sum(each.user + each.system + each.children_user + each.children_system for each in times)


if __name__ == "__main__":
    main()
