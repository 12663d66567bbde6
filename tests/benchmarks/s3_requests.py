"""What the tasks of a day and a month ask of an S3 server: requests an instance, by its access log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from figures import Figure
from plumewatch.simulation import build_world

from tools.checkout import CHECKOUT
from tools.java import find_java
from tools.places import CATALOGUE_PORT, demo_place
from tools.ports import choose_ports, wait_for_answer
from tools.s3_server import BUCKET, S3_PORT, S3Server
from tools.supervisor import Service, Supervisor

FOLDER = Path(__file__).resolve().parent
RUNS = (
    ("inventory_refresh", None), ("sentinel2_daily_ingest", "2025-08-20"), ("sentinel2_daily_ingest", "2025-08-23"),
    ("sentinel2_daily_ingest", "2025-08-25"), ("methane_detection_and_matching", "2025-08-25"),
    ("oco2_monthly_extraction", "2025-08"), ("co2_detection_and_matching", "2025-08"),
)  # fmt: skip
WRITES = ("Put", "Copy", "Create", "Upload", "Complete", "Abort", "Delete")


def requests_of_tasks() -> Iterator[Figure]:
    """Run a few days and a month with the tables on a local S3 server, and count what each task asked of it."""
    with TemporaryDirectory(prefix="plumewatch-bench-") as name:
        folder = Path(name)
        for task, of_task in _run(folder).items():
            requests: dict[str, int] = of_task["requests"]
            writes = sum(count for asked, count in requests.items() if asked.startswith(WRITES))
            each, writing = sum(requests.values()) / of_task["n"], writes / of_task["n"]
            note = ", ".join(f"{count} {asked}" for asked, count in sorted(requests.items()))
            yield Figure(
                f"S3 requests of {task}", each, "requests", writing, "of them writes", writing / max(each, 1.0),
                note=f"{of_task['n']} instances: {note or 'none'}",
            )  # fmt: skip


def _run(folder: Path) -> dict[str, dict]:
    world, log = folder / "world", folder / "access.log"
    build_world(world, seed=1)
    log.touch()
    port, s3_port = choose_ports(CATALOGUE_PORT, S3_PORT)
    server = S3Server(folder / "s3", s3_port)
    environment = {
        **demo_place(find_java(), "file").environment,
        **server.client_environment(),
        "PLUMEWATCH_STORAGE_ROOT": f"s3://{BUCKET}/bench",
        "PLUMEWATCH_STAC_API": f"http://127.0.0.1:{port}",
        "PLUMEWATCH_GRANULES": str(world / "granules"),
        "PLUMEWATCH_WIND": str(world / "wind"),
        "PLUMEWATCH_INVENTORIES": str(world / "inventories"),
        "PLUMEWATCH_AREAS": str(world / "areas"),
        "PLUMEWATCH_SPARK": "local[2]",
        "AIRFLOW_HOME": str(folder / "airflow"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(FOLDER), str(CHECKOUT), os.environ.get("PYTHONPATH")])),
    }
    serve = (sys.executable, "-m", "plumewatch.simulation.serve", str(world), "--port", str(port))
    s3 = server.service()
    with Supervisor(folder, say=lambda _: None) as supervisor:
        supervisor.start(Service("catalogue", serve, environment))
        supervisor.start(Service(s3.name, s3.command, {**s3.environment, "VGW_ACCESS_LOG": str(log)}))
        wait_for_answer(environment["PLUMEWATCH_STAC_API"], "catalogue", supervisor)
        wait_for_answer(server.health_url, s3.name, supervisor)
        command = [sys.executable, str(FOLDER / "transforms_alone.py"), json.dumps(RUNS), str(log)]
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))
