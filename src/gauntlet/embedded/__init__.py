"""The stack without Docker: Postgres, MLflow, Airflow and the router as local processes under supervisor."""
