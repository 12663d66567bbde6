"""All that knows Airflow and that several DAGs share."""
