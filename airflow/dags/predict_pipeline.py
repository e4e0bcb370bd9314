"""One DAG a spec: score the files that the chosen version has not scored yet, one task a file.

It runs when files arrive, by the schedule in the spec's `[predict]`, after a promotion if that says so, and by hand. A
backfill scores the files whose date lies in its data intervals. The work is in `gauntlet.jobs`.
"""

from datetime import timedelta

from airflow.sdk import DAG, Asset, AssetAlias, Param, get_current_context, task

from gauntlet import bootstrap
from gauntlet.bootstrap import flow_tasks


def add_tasks(pipeline: bootstrap.Pipeline) -> None:
    """Add the tasks to the DAG that is being built."""
    spec, scores = pipeline.spec, Asset(pipeline.assets.scores)
    files, more_files = Asset(pipeline.assets.predict_files), AssetAlias(bootstrap.MORE_FILES)

    @task(doc_md="which version scores this run")
    def choose_model():
        return bootstrap.choose_model(spec, get_current_context())

    @task(doc_md="which files it has not scored yet")
    def find_files(chosen):
        return bootstrap.find_files(spec, chosen, get_current_context())

    @task(
        doc_md="score one file",
        max_active_tis_per_dagrun=1,
        map_index_template="{{ file_name }}",
        execution_timeout=timedelta(minutes=120),
    )
    def score(chosen, file):
        context = get_current_context()
        context["file_name"] = bootstrap.file_name(file)
        return bootstrap.score(spec, chosen, file, context)

    @task(doc_md="say that there are new scores", trigger_rule="all_done", outlets=[scores, more_files])
    def publish(*, outlet_events):
        told = bootstrap.publish(get_current_context())
        outlet_events[scores].extra = told.event
        if told.rest:
            outlet_events[more_files].add(files, extra={"rest": told.rest})

    @task(doc_md="say what happened", trigger_rule="all_done")
    def summary():
        return bootstrap.summarize(get_current_context())

    chosen = choose_model()
    score.partial(chosen=chosen).expand(file=find_files(chosen)) >> [publish(), summary()]


def build(pipeline: bootstrap.Pipeline) -> DAG:
    """Return the DAG of one spec."""
    starts = [Asset(pipeline.assets.predict_files)]
    if pipeline.after_promotion:
        starts.append(Asset(pipeline.assets.production))
    with DAG(
        pipeline.predict_id,
        description=f"{pipeline.title}: score files",
        doc_md=__doc__,
        schedule=flow_tasks.when(pipeline.predict_schedule, *starts),
        **bootstrap.dag_settings(minutes=30),
        params={
            "uri": Param(None, type=["null", "string"], description="Score this file only; empty: all that are new."),
            "model": Param(None, type=["null", "string"], description="Another rule than the spec's [predict] model."),
        },
        tags=["gauntlet", pipeline.spec, "files"],
    ) as dag:
        add_tasks(pipeline)
    return dag


for each in bootstrap.pipelines():
    globals()[each.predict_id] = build(each)
