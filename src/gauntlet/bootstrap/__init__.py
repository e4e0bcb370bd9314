"""The one place that reads the environment and puts the parts together. Importing it loads nothing heavy."""

from gauntlet.bootstrap.catalogue import (
    Pipeline,
    dag_id,
    load_spec,
    load_specs,
    names,
    pipelines,
    run_key,
    spec_errors,
    watch_id,
)
from gauntlet.bootstrap.dags import dag_settings
from gauntlet.bootstrap.decide import decide_file
from gauntlet.bootstrap.doctor import examine
from gauntlet.bootstrap.drift import drift_between, write_page
from gauntlet.bootstrap.environment import inside_a_service, load_settings, stack_config
from gauntlet.bootstrap.people import answered, ask
from gauntlet.bootstrap.rollback import freeze, roll_back
from gauntlet.bootstrap.stack import prepare_databases, stack, start_stack
from gauntlet.bootstrap.upkeep import back_up, prune, restore
from gauntlet.bootstrap.watching import WATCH_STEPS, run_watch_step, watched
from gauntlet.bootstrap.wiring import champions, conductor, freezes, ledger, make_ports, make_run, router, run_step
from gauntlet.jobs.flow import FLOW, LABELS, Step, branches, edges
from gauntlet.jobs.people import APPROVE, REJECT
from gauntlet.jobs.watch_ports import WATCH_LABELS, WatchStep

__all__ = [
    "APPROVE", "FLOW", "LABELS", "REJECT", "WATCH_LABELS", "WATCH_STEPS", "Pipeline", "Step", "WatchStep",
    "answered", "ask", "back_up", "branches", "champions", "conductor",
    "dag_id", "dag_settings", "decide_file", "drift_between", "edges",
    "examine", "freeze", "freezes", "inside_a_service", "ledger", "load_settings", "load_spec", "load_specs",
    "make_ports", "make_run", "names", "pipelines", "prepare_databases", "prune", "restore", "roll_back", "router",
    "run_key", "run_step", "run_watch_step", "spec_errors", "stack", "stack_config", "start_stack",
    "watch_id", "watched", "write_page",
]  # fmt: skip
