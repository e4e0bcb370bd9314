"""The one place that reads the environment and puts the parts together. Importing it loads nothing heavy."""

from gauntlet.bootstrap.catalogue import (
    Pipeline,
    load_spec,
    names,
    pipelines,
    predict_id,
    spec_errors,
    train_id,
    watch_id,
)
from gauntlet.bootstrap.dags import dag_settings
from gauntlet.bootstrap.decide import decide_file
from gauntlet.bootstrap.doctor import examine
from gauntlet.bootstrap.drift import drift_between, write_page
from gauntlet.bootstrap.environment import inside_a_service, load_settings, stack_config
from gauntlet.bootstrap.example_data import make_data
from gauntlet.bootstrap.file_dags import (
    ARRIVED,
    MORE_FILES,
    arrivals,
    choose_model,
    file_name,
    find_files,
    publish,
    score,
    summarize,
)
from gauntlet.bootstrap.marts import batches, prune_marts
from gauntlet.bootstrap.rollback import freeze, roll_back
from gauntlet.bootstrap.scoring import score_path
from gauntlet.bootstrap.stack import prepare_databases, stack, start_stack
from gauntlet.bootstrap.tracing import reproduce_batch, trace_row, verify_marts
from gauntlet.bootstrap.training_files import run_train_step
from gauntlet.bootstrap.upkeep import back_up, prune, restore
from gauntlet.bootstrap.watching import WATCH_STEPS, run_watch_step, watched
from gauntlet.bootstrap.wiring import champions, conductor, freezes, ledger, make_ports, make_run, router, run_step
from gauntlet.jobs.flow import FLOW, TRAIN_FLOW
from gauntlet.jobs.watch_ports import WATCH_LABELS, WatchStep

__all__ = [
    "ARRIVED", "FLOW", "MORE_FILES", "TRAIN_FLOW", "WATCH_LABELS", "WATCH_STEPS", "Pipeline", "WatchStep",
    "arrivals", "back_up", "batches", "champions", "choose_model", "conductor", "dag_settings", "decide_file",
    "drift_between", "examine", "file_name", "find_files", "freeze", "freezes", "inside_a_service", "ledger",
    "load_settings", "load_spec", "make_data", "make_ports", "make_run", "names", "pipelines", "predict_id",
    "prepare_databases", "prune", "prune_marts", "publish", "reproduce_batch", "restore", "roll_back", "router",
    "run_step", "run_train_step", "run_watch_step", "score", "score_path", "spec_errors", "stack", "stack_config",
    "start_stack", "summarize", "trace_row", "train_id", "verify_marts", "watch_id", "watched", "write_page",
]  # fmt: skip
