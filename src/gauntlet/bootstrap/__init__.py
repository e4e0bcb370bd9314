"""The one place that reads the environment and puts the parts together. Importing it loads nothing heavy."""

from gauntlet.bootstrap.catalogue import Pipeline, dag_id, load_spec, load_specs, names, pipelines, run_key, spec_errors
from gauntlet.bootstrap.doctor import examine
from gauntlet.bootstrap.environment import inside_a_service, load_settings, stack_config
from gauntlet.bootstrap.stack import prepare_databases, stack, start_stack
from gauntlet.bootstrap.upkeep import back_up, prune, restore
from gauntlet.bootstrap.wiring import champions, conductor, ledger, make_ports, make_run, router, run_step
from gauntlet.jobs.flow import FLOW, LABELS, Step, branches, edges

__all__ = [
    "FLOW", "LABELS", "Pipeline", "Step", "back_up", "branches", "champions", "conductor",
    "dag_id", "edges", "examine", "inside_a_service", "ledger", "load_settings", "load_spec", "load_specs",
    "make_ports", "make_run", "names", "pipelines", "prepare_databases", "prune", "restore", "router", "run_key",
    "run_step", "spec_errors", "stack", "stack_config", "start_stack",
]  # fmt: skip
