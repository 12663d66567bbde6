#!/usr/bin/env bash
# Once, before Airflow starts: its database in the present version, and the bucket where the storage is on S3.
set -euo pipefail
airflow db check --retry 30 --retry-delay 2
airflow db migrate
python - <<'PYTHON'
from plumewatch import storage
from plumewatch.settings import Settings

root = Settings.load().storage_root
if root.startswith("s3://"):
    bucket = root.removeprefix("s3://").split("/")[0]
    fs, _ = storage.filesystem(root)
    if not fs.exists(bucket):
        fs.mkdir(bucket)
    print(f"bucket {bucket} is there")
PYTHON
