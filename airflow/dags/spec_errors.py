"""Shows wrong specs in Airflow's page as an import error of this file, so that the DAGs of the others go on."""

from gauntlet import bootstrap

errors = bootstrap.spec_errors()
if errors:
    raise ValueError("\n".join(str(error) for error in errors))
