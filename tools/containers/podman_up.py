"""`podman_up.py PROJECT.json SERVICE [NAME=VALUE]`: `docker compose up --exit-code-from SERVICE` by podman's commands.

PROJECT.json is what compose-check prints. For machines on which no `docker compose` runs: services start in the order
of what they depend on, each when its condition holds, and what SERVICE says is shown. With NAME=VALUE the others run
already, and SERVICE alone runs once more with that in its environment. Standard library alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PATIENCE_S = 600.0
POLL_S = 2.0


class CannotStart(Exception):
    """A service that didn't start, or isn't healthy in time."""


def podman(*arguments: str, must: bool = True) -> str:
    """Run a podman command and return what it prints."""
    run = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    if must and run.returncode:
        raise CannotStart(f"podman {' '.join(arguments[:2])}: {run.stderr.strip().splitlines()[-1]}")
    return run.stdout.strip()


def command_of(project: str, name: str, service: dict[str, Any]) -> list[str]:
    """Return the arguments of `podman run` for a service."""
    arguments = ["--name", f"{project}-{name}", "--network", project, "--network-alias", name, "--pull=never"]
    for option in ("hostname", "user"):
        arguments += [f"--{option}={service[option]}"] if service.get(option) else []
    arguments += ["--init"] if service.get("init") else []
    arguments += [f"--cap-drop={capability}" for capability in service.get("cap_drop", [])]
    arguments += [f"--security-opt={option.replace(':true', '')}" for option in service.get("security_opt", [])]
    for key, value in (service.get("environment") or {}).items():
        arguments += ["--env", f"{key}={value or ''}"]
    for mount in service.get("volumes", []):
        read_only = ":ro" if mount.get("read_only") else ""
        arguments += ["--volume", f"{project}-{mount['source']}:{mount['target']}{read_only}"]
    for port in service.get("ports", []):
        arguments += ["--publish", f"{port['host_ip']}:{port['published']}:{port['target']}"]
    return [*arguments, service["image"], *(service.get("command") or [])]


def is_ready(project: str, name: str, condition: str, services: dict[str, Any]) -> bool:
    """Whether a service is as far as one that depends on it wants it. Raises CannotStart where it never will be."""
    container = f"{project}-{name}"
    state = json.loads(podman("inspect", "--format", "{{json .State}}", container))
    has_ended = state["Status"] in ("exited", "stopped")
    if condition == "service_completed_successfully":
        if has_ended and state["ExitCode"]:
            raise CannotStart(f"{name} ended with code {state['ExitCode']}")
        return has_ended
    if has_ended:
        raise CannotStart(f"{name} has ended with code {state['ExitCode']}")
    if condition == "service_healthy":
        test = services[name]["healthcheck"]["test"][1:]  # podman's own would need systemd
        return subprocess.run(["podman", "exec", container, *test], capture_output=True, check=False).returncode == 0
    return True


def up(project: str, services: dict[str, Any]) -> None:
    """Start all services, each when those that it depends on are ready."""
    waiting, started = dict(services), time.monotonic()
    while waiting:
        for name, service in list(waiting.items()):
            wanted = service.get("depends_on", {})
            if any(other in waiting for other in wanted):
                continue
            if all(is_ready(project, other, how["condition"], services) for other, how in wanted.items()):
                podman("run", "--detach", *command_of(project, name, waiting.pop(name)))
                print(f"[{time.monotonic() - started:5.0f} s] {name} started", flush=True)
        if time.monotonic() - started > PATIENCE_S:
            raise CannotStart(f"not started after {PATIENCE_S:.0f} s: {', '.join(waiting)}")
        time.sleep(POLL_S)


def main() -> int:
    """Start, show what the service says, and return its exit code."""
    content = json.loads(Path(sys.argv[1]).read_text())
    project, name, changed = content["name"], sys.argv[2], sys.argv[3:]
    if changed:
        service = content["services"][name]
        service["environment"] |= dict(pair.split("=", 1) for pair in changed)
        podman("rm", "--force", f"{project}-{name}")
        podman("run", "--detach", *command_of(project, name, service))
    else:
        podman("network", "create", project)
        up(project, content["services"])
    subprocess.run(["podman", "logs", "--follow", f"{project}-{name}"], check=False)
    return int(podman("wait", f"{project}-{name}"))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotStart as error:
        sys.exit(str(error))
