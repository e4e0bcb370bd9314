"""One DAG a spec: train the first model, watch for drift, and let a challenger earn Production.

The steps and arrows are those of `gauntlet.jobs.flow`; the work is in `gauntlet.jobs`.
"""

from airflow.sdk import DAG, Param

from gauntlet import bootstrap
from gauntlet.bootstrap import flow_tasks


def build(pipeline: bootstrap.Pipeline) -> DAG:
    """Return the DAG of one spec."""
    with DAG(
        pipeline.dag_id,
        description=f"{pipeline.title}: a model has to earn production",
        doc_md=__doc__,
        schedule=pipeline.schedule,
        **bootstrap.dag_settings(minutes=30),
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
        flow_tasks.add_flow(bootstrap.FLOW, pipeline, bootstrap.run_step)
    return dag


for each in bootstrap.pipelines():
    globals()[each.dag_id] = build(each)
