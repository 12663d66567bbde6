"""The Dockerfile and the compose files agree with the project: `make containers` builds and runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from plumewatch.simulation.sentinel_hub import CLIENT_ID, CLIENT_SECRET, HUB_PATH, TOKEN

from tools.checkout import CHECKOUT
from tools.demo import HUB_AREA
from tools.local_airflow import LocalAirflow

COMPOSE = CHECKOUT / "docker-compose.yaml"
DEMO = CHECKOUT / "docker-compose.demo.yaml"
SECRETS = CHECKOUT / "containers" / "secrets.sh"
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(:?[-?])?")
OF_COMPOSE = {
    "PLUMEWATCH_IMAGE", "POSTGRES_IMAGE", "S3_IMAGE", "BASE_IMAGE", "PORT", "SEED", "AIRFLOW_PARALLELISM",
    "SCHEDULER_LIMIT", "SPARK_WORKER_CORES", "SPARK_WORKER_LIMIT", "SPARK_WORKER_MEMORY", "SPARK_WORKERS", "STOP_GRACE",
    "UI_URL",
}  # fmt: skip

LOG_IN = """
import sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from tools.airflow_client import AirflowClient
from tools.demo import end_with

def log_in(status):
    class Api(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(401 if self.command == "GET" else status)
            self.end_headers()
            self.wfile.write(b"refused")
        do_POST = do_GET
    server = HTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    end_with(lambda: len(AirflowClient(f"http://127.0.0.1:{server.server_port}", "admin", "wrong").dags()))
"""


def services(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(file.read_text())["services"])


def made_secrets() -> dict[str, str]:
    lines = subprocess.run(["bash", SECRETS], capture_output=True, text=True, check=True).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_variable_is_a_setting_a_secret_or_of_the_compose_files() -> None:
    known = set(re.findall(r"^#?([A-Z0-9_]+)=", (CHECKOUT / ".env.example").read_text(), re.MULTILINE))
    used = {name for file in (COMPOSE, DEMO) for name, _ in VARIABLE.findall(file.read_text())}
    assert used - known == OF_COMPOSE | made_secrets().keys()


def test_no_secret_has_a_default_and_each_is_new_each_time() -> None:
    first, second = made_secrets(), made_secrets()
    for name, value in first.items():
        assert len(value) >= 16 and value != second[name]
        defaults = {how for variable, how in VARIABLE.findall(COMPOSE.read_text()) if variable == name}
        assert defaults == {":?"}, name


def test_secrets_are_added_once_and_seen_by_their_owner_alone(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("PLUMEWATCH_WIND=geos_fp\n")
    command = f"bash {SECRETS} >> .env"
    assert subprocess.run(command, shell=True, cwd=tmp_path, check=False).returncode == 0
    first = env.read_text()
    assert first.startswith("PLUMEWATCH_WIND=geos_fp\n") and "POSTGRES_PASSWORD=" in first
    assert env.stat().st_mode & 0o777 == 0o600
    again = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "secrets already" in again.stderr and env.read_text() == first


@pytest.mark.parametrize(("part", "code"), [(None, 0), ("scheduler", 0), ("triggerer", 1), ("nobody", 1)], ids=str)
def test_a_part_is_healthy_if_it_is_said_to_be(part: str | None, code: int) -> None:
    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"scheduler": {"status": "healthy"}, "triggerer": {"status": "unhealthy"}}')

    server = HTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    command = [sys.executable, CHECKOUT / "containers" / "healthy.py", url, *([part] if part else [])]
    through_nobody = {**os.environ, "http_proxy": "http://127.0.0.1:1"}
    assert subprocess.run(command, env=through_nobody, capture_output=True, check=False).returncode == code
    server.shutdown()


def test_nothing_runs_as_root_and_only_the_interface_is_published_on_loopback() -> None:
    assert re.search(r"^USER 50000:50000$", (CHECKOUT / "Dockerfile").read_text(), re.MULTILINE)
    for name, service in services(COMPOSE).items():
        assert "no-new-privileges:true" in service["security_opt"] and service["cap_drop"] == ["ALL"], name
        assert "privileged" not in service and service.get("user", "postgres") != "root"
        published = service.get("ports", [])
        assert published == (["127.0.0.1:${PORT:-8080}:8080"] if name == "api-server" else [])


def test_spark_gets_the_storages_keys_and_no_other_secret() -> None:
    told = ("AWS_", "PLUMEWATCH_STORAGE_ROOT", "PLUMEWATCH_SPARK", "SPARK_NO_DAEMONIZE", "SPARK_WORKER_OPTS")
    for name, service in services(COMPOSE).items():
        if not name.startswith("spark"):
            assert ("env_file" in service) == (name not in ("postgres", "s3")), name
            continue
        environment = service["environment"]
        assert "env_file" not in service and all(variable.startswith(told) for variable in environment), name
        secret = {variable for variable, _ in VARIABLE.findall(str(environment))} & made_secrets().keys()
        assert secret == ({"S3_ACCESS_KEY", "S3_SECRET_KEY"} if "worker" in name else set()), name


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        ("log_in(401)", 0, "POST /auth/token: 401 refused"),
        ("log_in(403)", 0, "POST /auth/token: 403 refused"),
        ("log_in(500)", 1, "not because the login was refused"),
        ("sys.exit('there is no such container')", 1, "not because the login was refused"),
        ("print('Found what was planted.')", 1, "a wrong password is let in"),
    ],
)
def test_only_a_refused_login_is_a_refusal(program: str, code: int, said: str) -> None:
    run = subprocess.run(
        ["bash", "tools/containers/must-be-refused.sh", sys.executable, "-c", f"{LOG_IN}\n{program}"],
        cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT}/include"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == code and said in run.stdout + run.stderr


def test_images_are_pinned_and_every_server_has_a_healthcheck() -> None:
    for name, service in {**services(DEMO), **services(COMPOSE)}.items():
        image = service.get("image", "${PLUMEWATCH_IMAGE:-plumewatch:0.1.0}")
        assert re.fullmatch(r"\$\{[A-Z0-9_]+_IMAGE:-[\w./-]+:v?\d[\w.-]*\}", image), image
        assert name in ("prepare", "demo") or "healthcheck" in service, name


def test_nothing_grows_without_a_limit() -> None:
    for name, service in {**services(DEMO), **services(COMPOSE)}.items():
        assert service["mem_limit"] and service["pids_limit"] == 1000, name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert service.get("restart", "no") in ({"prepare": "no"}.get(name, "unless-stopped"), "no"), name


def test_the_demonstration_has_the_simulated_account() -> None:
    environment = services(DEMO)["scheduler"]["environment"]
    url = environment["PLUMEWATCH_STAC_API"] + HUB_PATH
    assert (environment["SH_BASE_URL"], environment["SH_TOKEN_URL"]) == (url, url + TOKEN)
    assert (environment["SH_CLIENT_ID"], environment["SH_CLIENT_SECRET"]) == (CLIENT_ID, CLIENT_SECRET)
    assert f"--sentinel-hub {HUB_AREA}" in (CHECKOUT / "containers" / "serve-world.sh").read_text()


def test_airflow_is_tuned_as_on_one_machine(tmp_path: Path) -> None:
    here = LocalAirflow(tmp_path, 8080, {}, reparse_s=30).environment
    there = services(COMPOSE)["scheduler"]["environment"]
    shared = {name for name in here.keys() & there.keys() if name.split("__")[1] in ("SCHEDULER", "WORKERS")}
    shared.add("AIRFLOW__CORE__MAX_MAP_LENGTH")
    assert len(shared) >= 4 and {n: here[n] for n in shared} == {n: there[n] for n in shared}


def test_the_image_gets_what_runs_and_nothing_else() -> None:
    kept = {line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept >= {"containers", "dags", "include", "plugins", "spark_jobs", "tools", "requirements.lock"}
    assert all((CHECKOUT / path).exists() for path in kept) and not kept & {"tests", ".env", ".git", "docs"}


@pytest.mark.parametrize(
    ("stage", "check"),
    [
        ("packages", "from plumewatch import spark_runtime as s; assert '1.8.0' in s._ivy_text(); print(s.CACHE)"),
        ("system", "from plumewatch import spark_session as s; print(s.spark_runtime.CACHE)"),
    ],
    ids=["jars", "archive of classes"],
)
def test_what_is_made_before_the_code_needs_no_more_than_is_copied(tmp_path: Path, stage: str, check: str) -> None:
    text = (CHECKOUT / "Dockerfile").read_text().replace("\\\n", " ")
    stages = {part.split("\n")[0].rpartition(" AS ")[2]: part for part in re.split(r"^FROM ", text, flags=re.MULTILINE)}
    lines = stages[stage].splitlines()
    copied = [path for line in lines if line.startswith("COPY include/") for path in line.split()[1:-1]]
    for path in (found for pattern in copied for found in CHECKOUT.glob(pattern)):
        target = tmp_path / path.relative_to(CHECKOUT)
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
    run = subprocess.run(
        [sys.executable, "-c", check], env={**os.environ, "PYTHONPATH": str(tmp_path / "include")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.stdout.strip() == str(tmp_path / ".cache"), run.stderr


@pytest.mark.parametrize("password", ["simple", 'quote " and \\ backslash'])
def test_the_entry_point_writes_the_password_file_and_drops_what_is_empty(tmp_path: Path, password: str) -> None:
    show = (
        "import json, os; print(json.load(open('passwords.json'))['admin']); print(os.environ.get('AWS_ENDPOINT_URL'))"
    )
    command = ["bash", str(CHECKOUT / "containers" / "entrypoint.sh"), "airflow"]
    (tmp_path / "airflow").write_text(f"#!{sys.executable}\n{show}\nprint(os.environ.get('PLUMEWATCH_UI_PASSWORD'))\n")
    (tmp_path / "airflow").chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AIRFLOW_HOME": str(tmp_path), "PLUMEWATCH_UI_PASSWORD": password, "AWS_ENDPOINT_URL": "",
    }  # fmt: skip
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.stdout.splitlines() == [password, "None", "None"], run.stderr
    assert (tmp_path / "passwords.json").stat().st_mode & 0o077 == 0
