"""One DAG a spec: take in the training files that are new, train on them, and let the challenger earn Production.

It runs when files arrive, by the spec's `retrain`, and by hand. The steps and arrows are those of `gauntlet.jobs.flow`;
the work is in `gauntlet.jobs`.
"""

from airflow.sdk import DAG, Asset, Param

from gauntlet import bootstrap
from gauntlet.bootstrap import flow_tasks


def build(pipeline: bootstrap.Pipeline) -> DAG:
    """Return the DAG of one spec."""
    with DAG(
        pipeline.train_id,
        description=f"{pipeline.title}: train on files, and let the model earn production",
        doc_md=__doc__,
        schedule=flow_tasks.when(pipeline.retrain, Asset(pipeline.assets.train_files)),
        **bootstrap.dag_settings(minutes=120),
        params={
            "uri": Param(None, type=["null", "string"], description="Take in this file only; empty: all that are new."),
            "force": Param(False, type="boolean", description="Train even when no file is new."),
        },
        tags=["gauntlet", pipeline.spec, "files"],
    ) as dag:
        flow_tasks.add_flow(bootstrap.TRAIN_FLOW, pipeline, bootstrap.run_train_step)
    return dag


for each in bootstrap.pipelines():
    globals()[each.train_id] = build(each)
