"""One DAG a spec: train the first model, watch for drift, and let a challenger earn Production.

The steps and arrows are those of `gauntlet.jobs.flow`; the work is in `gauntlet.jobs`.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, get_current_context, task

from gauntlet import bootstrap


def make_task(step: bootstrap.Step, spec: str):
    """Return the Airflow task of a step; a branch names the task to go on with."""
    decorate = task.branch if bootstrap.branches(step) else task

    @decorate(task_id=str(step), doc_md=bootstrap.LABELS[step], trigger_rule="none_failed_min_one_success")
    def run():
        return bootstrap.run_step(step, spec, get_current_context())

    return run()


def build(pipeline: bootstrap.Pipeline) -> DAG:
    """Return the DAG of one spec."""
    with DAG(
        pipeline.dag_id,
        description=f"{pipeline.title}: a model has to earn production",
        doc_md=__doc__,
        schedule=pipeline.schedule,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=True,
        default_args={
            "owner": "gauntlet",
            "retries": 3,
            "retry_delay": timedelta(seconds=10),
            "execution_timeout": timedelta(minutes=30),
        },
        params={
            "force_retrain": Param(
                False, type="boolean", description="Train and test a challenger without drift, too."
            ),
            "simulate_drift": Param(
                0,
                type="integer",
                minimum=0,
                maximum=pipeline.columns,
                description="Let N random columns drift in this run.",
            ),
        },
        tags=["gauntlet", pipeline.spec],
    ) as dag:
        tasks = {step: make_task(step, pipeline.spec) for step in bootstrap.FLOW}
        for before, after in bootstrap.edges():
            tasks[before] >> tasks[after]
    return dag


for each in bootstrap.pipelines():
    globals()[each.dag_id] = build(each)
