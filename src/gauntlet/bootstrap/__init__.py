"""The one place that reads the environment and puts the parts together. Importing it loads nothing heavy."""

from gauntlet.bootstrap.catalogue import Pipeline, dag_id, load_spec, load_specs, names, pipelines, run_key, spec_errors
from gauntlet.bootstrap.environment import load_settings, stack_config
from gauntlet.bootstrap.stack import compose_stack, prepare_databases, stack, start_stack
from gauntlet.bootstrap.wiring import champions, conductor, ledger, make_ports, make_run, router, run_step
from gauntlet.jobs.flow import FLOW, LABELS, Step, branches, edges

__all__ = [
    "FLOW", "LABELS", "Pipeline", "Step", "branches", "champions", "compose_stack", "conductor", "dag_id", "edges",
    "ledger", "load_settings", "load_spec", "load_specs", "make_ports", "make_run", "names", "pipelines",
    "prepare_databases", "router", "run_key", "run_step", "spec_errors", "stack", "stack_config", "start_stack",
]  # fmt: skip
