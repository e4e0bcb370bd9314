"""One DAG a spec: score fresh A/B rows with production and the version before it, and roll back when it is worse.

The work is in `gauntlet.jobs.watch`.
"""

from airflow.sdk import DAG, chain, get_current_context, task

from gauntlet import bootstrap


def make_task(step: bootstrap.WatchStep, spec: str):
    """Return the Airflow task of a step."""

    @task(task_id=str(step), doc_md=bootstrap.WATCH_LABELS[step])
    def run():
        return bootstrap.run_watch_step(step, spec, get_current_context())

    return run()


def build(pipeline: bootstrap.Pipeline) -> DAG:
    """Return the DAG that watches one spec."""
    with DAG(
        pipeline.watch_id,
        description=f"{pipeline.title}: is production worse than the version before it?",
        doc_md=__doc__,
        schedule="@hourly",
        **bootstrap.dag_settings(minutes=10),
        tags=["gauntlet", pipeline.spec],
    ) as dag:
        chain(*[make_task(step, pipeline.spec) for step in bootstrap.WATCH_STEPS])
    return dag


for each in bootstrap.pipelines():
    globals()[each.watch_id] = build(each)
