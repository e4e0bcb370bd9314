"""One DAG a spec: train the first model, watch for drift, and let a challenger earn Production.

The steps and arrows are those of `gauntlet.jobs.flow`; the work is in `gauntlet.jobs`.
"""

from datetime import timedelta

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Param, get_current_context, task

from gauntlet import bootstrap


class Approval(HITLOperator):
    """Asks a person with the evidence of the run; no answer in time is a Reject. Either way the flow goes on."""

    def __init__(self, *, spec: str, **kwargs):
        answers = [bootstrap.APPROVE, bootstrap.REJECT]
        super().__init__(subject="asked by the run", options=answers, defaults=bootstrap.REJECT, **kwargs)
        self.spec = spec

    def execute(self, context):
        """Ask, and leave the worker until there is an answer."""
        question = bootstrap.ask(self.spec, context)
        self.subject, self.body = question.subject, question.body
        self.response_timeout = timedelta(hours=question.hours)
        return super().execute(context)

    def execute_complete(self, context, event):
        """Hand on what was answered, and by whom."""
        return bootstrap.answered(super().execute_complete(context, event))


def make_task(step: bootstrap.Step, spec: str):
    """Return the Airflow task of a step; a branch names the task to go on with."""
    common = {"task_id": str(step), "doc_md": bootstrap.LABELS[step], "trigger_rule": "none_failed_min_one_success"}
    if step is bootstrap.Step.APPROVE_PROMOTION:
        return Approval(spec=spec, execution_timeout=None, **common)  # how long to wait is known when it runs
    decorate = task.branch if bootstrap.branches(step) else task

    @decorate(**common)
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
        tasks = {step: make_task(step, pipeline.spec) for step in bootstrap.FLOW}
        for before, after in bootstrap.edges():
            tasks[before] >> tasks[after]
    return dag


for each in bootstrap.pipelines():
    globals()[each.dag_id] = build(each)
