"""The emissions view in Airflow's UI: the same map as the files, with all keys, for who is logged in."""
