"""Looks each minute whether files have arrived, for all specs, and starts the DAGs that read them.

A new file is said by an event of its folder's Asset; where nothing is new, nothing is said. A file that still waits
after ten minutes is said again. The work is in `gauntlet.jobs`.
"""

from airflow.sdk import DAG, Asset, AssetAlias, task

from gauntlet import bootstrap

arrived = AssetAlias(bootstrap.ARRIVED)

with DAG(
    "watch_files",
    description="Have files to train on or to predict arrived?",
    doc_md=__doc__,
    schedule="* * * * *",
    # told each minute of one outage, people would stop reading
    **{**bootstrap.dag_settings(minutes=10), "on_failure_callback": None},
    tags=["gauntlet", "files"],
):
    # the next look comes in a minute
    @task(doc_md="look into the folders of all specs", outlets=[arrived], retries=0)
    def look(*, outlet_events):
        """Say which folders have files that nobody was told of."""
        for arrival in bootstrap.arrivals():
            outlet_events[arrived].add(Asset(arrival.asset), extra=arrival.event)

    look()
