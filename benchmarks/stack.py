"""What the running stack costs: memory (PSS) and CPU at rest, and Airflow's own overhead in a run with a test.

Run it on a stack that `gauntlet up` has started: `.venv/bin/python benchmarks/stack.py [--idle SECONDS]`.
"""

import argparse
import platform
import re
import time

import psutil

from gauntlet import bootstrap
from gauntlet.adapters.airflow_api import AirflowClient
from gauntlet.jobs.acts import run_once

WORK = re.compile(r"the work of (\w+) took ([\d.]+) s")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=float, default=60.0, metavar="SECONDS", help="how long to watch the idle stack")
    options = parser.parse_args()
    print(f"machine: {platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}")
    at_rest(options.idle)
    overhead()


def at_rest(seconds: float) -> None:
    """Memory and CPU of each service with all its children."""
    services = bootstrap.stack().status()
    families = {name: family(each.pid) for name, each in services.items() if each.pid}
    keeper = psutil.Process(next(iter(families.values()))[0].pid).parent()
    if keeper is not None and keeper.pid != 1:
        families["supervisor"] = [keeper]
    before = {name: cpu(members) for name, members in families.items()}
    time.sleep(seconds)
    print(f"\n{'service':<24} {'PSS MB':>8} {'CPU % of a core':>16}   (idle for {seconds:.0f} s)")
    total_memory = total_cpu = 0.0
    for name, members in families.items():
        memory = sum(member.memory_full_info().pss for member in members) / 2**20
        used = 100 * (cpu(members) - before[name]) / seconds
        total_memory, total_cpu = total_memory + memory, total_cpu + used
        print(f"{name:<24} {memory:>8.0f} {used:>16.1f}")
    print(f"{'in all':<24} {total_memory:>8.0f} {total_cpu:>16.1f}")


def family(pid: int) -> list[psutil.Process]:
    """A process and its descendants."""
    head = psutil.Process(pid)
    return [head, *head.children(recursive=True)]


def cpu(members: list[psutil.Process]) -> float:
    """CPU seconds that processes have used, with the children they have waited for."""
    total = 0.0
    for member in members:
        times = member.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def overhead() -> None:
    """The whole of a forced run, less the time inside the tasks' own work."""
    conductor = bootstrap.conductor(bootstrap.load_settings(), None, lambda _: None, lambda _: None)
    report = run_once(conductor, {"force_retrain": True})
    airflow = conductor.scheduler
    assert isinstance(airflow, AirflowClient)
    assert report.run_id is not None
    work = {}
    for task in airflow.task_states(conductor.dag, report.run_id):
        if task.state == "success":
            found = WORK.search("\n".join(airflow.task_log(conductor.dag, report.run_id, task.task)))
            work[task.task] = float(found.group(2)) if found else 0.0
    print(f"\n{'task':<28} {'work s':>8}")
    for name, seconds in work.items():
        print(f"{name:<28} {seconds:>8.2f}")
    whole, inside = airflow.run_seconds(conductor.dag, report.run_id), sum(work.values())
    print(f"\nwhole run {whole:.2f} s, work {inside:.2f} s, overhead {whole - inside:.2f} s; {report.verdict}")


if __name__ == "__main__":
    main()
