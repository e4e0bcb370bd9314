"""The one place that reads the environment and puts the parts together. Importing it loads nothing heavy."""

from gauntlet.bootstrap.catalogue import Pipeline, dag_id, load_spec, load_specs, names, pipelines, run_key, spec_errors
from gauntlet.bootstrap.environment import load_settings, stack_config
from gauntlet.bootstrap.stack import login, service_log, service_names, stack_status, start_stack, stop_stack
from gauntlet.bootstrap.wiring import champions, conductor, ledger, make_ports, make_run, router, run_step
from gauntlet.jobs.flow import FLOW, LABELS, Step, branches, edges

__all__ = [
    "FLOW", "LABELS", "Pipeline", "Step", "branches", "champions", "conductor", "dag_id", "edges", "ledger",
    "load_settings", "load_spec", "load_specs", "login", "make_ports", "make_run", "names", "pipelines", "router",
    "run_key", "run_step", "service_log", "service_names", "spec_errors", "stack_config", "stack_status",
    "start_stack", "stop_stack",
]  # fmt: skip
