"""What Airflow runs on: a folder, what its tasks see in their environment, and the servers beside it."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from plumewatch.settings import OnProblem, read_dotenv

from tools.checkout import CHECKOUT, DEMO, LOCAL_AIRFLOW, project_environment
from tools.local_airflow import NAME, LocalAirflow, wait_until_healthy
from tools.ports import choose_ports, wait_for_answer
from tools.s3_server import BUCKET, S3_PORT, S3Server
from tools.supervisor import Service, Supervisor

SPARK_PORT, CATALOGUE_PORT = 15002, 7911  # Spark Connect's own; else whatever is free
PORTS = CATALOGUE_PORT, S3_PORT
SETTINGS_PREFIXES = ("PLUMEWATCH_", "AWS_", "AIRFLOW", "SH_", "SENTINEL_", "EARTHDATA_")
REPARSE_S = 30
"""How often DAG files are read anew while a person works with them."""
NEVER_S = 24 * 3600
SIMULATED = f"{NAME}, a simulated world"


@dataclass(frozen=True)
class Place:
    """One set-up of Airflow."""

    folder: Path
    """Holds Airflow's home, the logs and the supervisor's lock."""
    environment: Mapping[str, str]
    """What tasks see."""
    services: tuple[Service, ...]
    """Servers beside Airflow."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """URL at which a server answers once it is up, by its name."""
    reparse_s: int = REPARSE_S
    """How often DAG files are read anew."""
    name: str = NAME
    """What pages say whose they are."""
    ports: tuple[int, ...] = ()
    """Those of a simulated world, whose addresses are stored with what came from it."""

    def airflow(self, port: int) -> LocalAirflow:
        """Return the Airflow of this place."""
        return LocalAirflow(self.folder / "airflow", port, self.environment, reparse_s=self.reparse_s, name=self.name)

    def start(
        self, airflow: LocalAirflow, migrating: Popen[bytes], supervisor: Supervisor, say: Callable[[str], None]
    ) -> None:
        """Start the servers and, once its database is there, Airflow; wait until all answer."""
        supervisor.start(*self.services)
        supervisor.wait("migrate", migrating)
        say("Airflow: starting its four processes ...")
        supervisor.start(*airflow.services())
        wait_until_healthy(airflow.client, supervisor.check, say)
        for name, url in self.answers.items():
            wait_for_answer(url, name, supervisor)


def user_environment(java_home: Path | None, on_problem: OnProblem | None = None) -> dict[str, str]:
    """Return the project's environment with the user's settings: the environment's, else those of `.env`.

    Lines of `.env` that can't be read are told to `on_problem`; without it the first raises ConfigurationError.
    """
    return project_environment(java_home, {**read_dotenv(CHECKOUT / ".env", on_problem), **os.environ})


def user_place(java_home: Path | None) -> Place:
    """Return the place of `make up`: the user's settings, with a Spark server unless they name their own Spark."""
    environment = user_environment(java_home)
    services: tuple[Service, ...] = ()
    if not environment.get("PLUMEWATCH_SPARK"):
        service = spark_service(environment)
        services = (service,)
        environment["PLUMEWATCH_SPARK"] = _spark_url(service)
    return Place(LOCAL_AIRFLOW, environment, services)


def demo_place(java_home: Path, storage: str, ports: Sequence[int] = PORTS, *, reparse_s: int = NEVER_S) -> Place:
    """Return the place of the demonstration: its own world and storage (file or s3), none of the user's settings.

    `ports` are taken where they are free.
    """
    from plumewatch.simulation.sentinel_hub import CLIENT_ID, CLIENT_SECRET, HUB_PATH, TOKEN  # some seconds

    own = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS_PREFIXES)}
    world = DEMO / "world"
    port, s3_port = choose_ports(*ports)
    environment = {
        **project_environment(java_home, own),
        "PLUMEWATCH_STORAGE_ROOT": f"file://{DEMO / 'storage'}",
        "PLUMEWATCH_STAC_API": f"http://127.0.0.1:{port}",
        "SH_BASE_URL": f"http://127.0.0.1:{port}{HUB_PATH}",
        "SH_TOKEN_URL": f"http://127.0.0.1:{port}{HUB_PATH}{TOKEN}",
        "SH_CLIENT_ID": CLIENT_ID,
        "SH_CLIENT_SECRET": CLIENT_SECRET,
        "PLUMEWATCH_GRANULES": str(world / "granules"),
        "PLUMEWATCH_WIND": str(world / "wind"),
        "PLUMEWATCH_INVENTORIES": str(world / "inventories"),
        "PLUMEWATCH_AREAS": str(world / "areas"),
        "PLUMEWATCH_ALERTS": "log",
        # No account of the user's is found by accident.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    services, answers = [], {"catalogue": environment["PLUMEWATCH_STAC_API"]}
    if storage == "s3":
        server = S3Server(DEMO / "s3", s3_port)
        services.append(server.service())
        answers["s3-server"] = server.health_url
        environment |= {**server.client_environment(), "PLUMEWATCH_STORAGE_ROOT": f"s3://{BUCKET}/demo"}
    serve = (sys.executable, "-m", "plumewatch.simulation.serve", str(world), "--port", str(port))
    spark = spark_service(environment)
    environment["PLUMEWATCH_SPARK"] = _spark_url(spark)
    services += [Service("catalogue", serve, environment), spark]
    return Place(DEMO, environment, tuple(services), answers, reparse_s, SIMULATED, (port, s3_port))


def spark_service(environment: Mapping[str, str]) -> Service:
    """Return a Spark Connect server: it serves the next job in a second or two, where a JVM of its own takes five."""
    port = choose_ports(SPARK_PORT)[0]
    return Service(
        "spark",
        (sys.executable, "-m", "plumewatch.spark_session", "serve", "--port", str(port)),
        {name: value for name, value in environment.items() if name != "PLUMEWATCH_SPARK"},
    )


def _spark_url(service: Service) -> str:
    """One session for all jobs: its Python workers stay warm, where those of a new session import everything anew."""
    return f"sc://127.0.0.1:{service.command[-1]}/;session_id={uuid.uuid4()};user_id=plumewatch"


def remember_demo(storage: str, seed: int, ports: Sequence[int]) -> None:
    """Note what the demonstration ran on, for `make up DEMO=1`."""
    (DEMO / "demo.json").write_text(json.dumps({"storage": storage, "seed": seed, "ports": list(ports)}))


def remembered_demo() -> tuple[str, Sequence[int]] | None:
    """Return on which storage (file or s3) and ports the last demonstration ran; None if there was none."""
    path = DEMO / "demo.json"
    if not path.exists():
        return None
    noted = json.loads(path.read_text())
    return noted["storage"], noted.get("ports", PORTS)
