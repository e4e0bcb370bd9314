"""Switch the file pipelines of a spec on, start a run of each over Airflow's REST interface, and wait for both."""

import time

import httpx

from gauntlet.bootstrap import load_settings, predict_id, train_id

SPEC = "health"
settings = load_settings()
login = {"username": settings.airflow_admin_user, "password": settings.secret("airflow_admin_password")}

# trust_env=False keeps a proxy of the shell out of the way to a service on this machine.
with httpx.Client(base_url=str(settings.airflow_url), timeout=30, trust_env=False) as airflow:
    token = airflow.post("/auth/token", json=login).raise_for_status().json()["access_token"]
    airflow.headers["Authorization"] = f"Bearer {token}"

    # Training first: predicting takes what is in production. Each run takes every file that is new.
    for dag in (train_id(settings, SPEC), predict_id(settings, SPEC)):
        airflow.patch(f"/api/v2/dags/{dag}", json={"is_paused": False}).raise_for_status()
        run = airflow.post(f"/api/v2/dags/{dag}/dagRuns", json={"logical_date": None}).raise_for_status().json()
        where = f"/api/v2/dags/{dag}/dagRuns/{run['dag_run_id']}"
        while run["state"] in ("queued", "running"):
            time.sleep(1)
            run = airflow.get(where).raise_for_status().json()

        print(f"{dag}: {run['state']}")
        if run["state"] != "success":
            raise SystemExit(f"look at {settings.airflow_url}/dags/{dag}")

        # A DAG with a schedule begins with the run that is due when it is switched on; that one may have done the work.
        recent = airflow.get(f"/api/v2/dags/{dag}/dagRuns?state=success&order_by=-run_after&limit=2")
        for each in reversed(recent.raise_for_status().json()["dag_runs"]):
            result = f"/api/v2/dags/{dag}/dagRuns/{each['dag_run_id']}/taskInstances/summary/xcomEntries/return_value"
            summary = airflow.get(result).raise_for_status().json()["value"]
            print(f"  {each['run_type']} run: {summary['line']}")
