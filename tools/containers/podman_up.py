"""What `docker compose` does with a project, by podman's commands, for machines on which no engine runs.

`podman_up.py PROJECT.json up SERVICE`: starts all services in the order of what they depend on, each when its
condition holds, shows what SERVICE says and exits with its code. `again SERVICE [NAME=VALUE]`: the others run already,
and SERVICE runs once more, with that in its environment. `more SERVICE`: starts those of its containers that aren't
there yet. `stop`: ends all in the opposite order, as `docker compose stop`; exit code 0 only if each ended by itself in
its time. PROJECT.json is what compose-check prints.
Standard library alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATIENCE_S = 600.0
POLL_S = 2.0
GRACE = "10s"
"""Docker's own, where a service states none."""
KILLED = 137


class ServiceFailed(Exception):
    """A service that didn't start, isn't healthy in time, or had to be killed."""


class Project:
    """The services of a project, as containers of podman."""

    def __init__(self, content: dict[str, Any]) -> None:
        """`content` is a project as compose-go writes it."""
        self.name: str = content["name"]
        self.services: dict[str, Any] = content["services"]

    def containers(self, service: str) -> list[str]:
        """Return the names of a service's containers, as compose counts them."""
        n = int(self.services[service].get("deploy", {}).get("replicas", 1))
        return [f"{self.name}-{service}-{i + 1}" for i in range(n)]

    def start(self, service: str) -> None:
        """Start those of a service's containers that aren't there yet."""
        there = podman("ps", "--all", "--format", "{{.Names}}").split()
        for container in self.containers(service):
            if container not in there:
                podman("run", "--detach", "--name", container, *self._options(service))

    def _options(self, name: str) -> Iterator[str]:
        service = self.services[name]
        yield from ("--network", self.name, "--network-alias", name, "--pull=never")
        for option in ("hostname", "user"):
            yield from [f"--{option}={service[option]}"] if service.get(option) else []
        for option, ours in (("mem_limit", "memory"), ("shm_size", "shm-size"), ("pids_limit", "pids-limit")):
            yield from [f"--{ours}={service[option]}"] if service.get(option) else []
        yield from ["--init"] if service.get("init") else []
        yield from (f"--cap-drop={capability}" for capability in service.get("cap_drop", []))
        yield from (f"--security-opt={option.replace(':true', '')}" for option in service.get("security_opt", []))
        logging = service["logging"]
        yield f"--log-driver={logging['driver']}"
        yield f"--log-opt=max-size={logging['options']['max-size']}"
        for key, value in (service.get("environment") or {}).items():
            yield f"--env={key}={value or ''}"
        for mount in service.get("volumes", []):
            read_only = ":ro" if mount.get("read_only") else ""
            yield f"--volume={self.name}-{mount['source']}:{mount['target']}{read_only}"
        for port in service.get("ports", []):
            yield f"--publish={port['host_ip']}:{port['published']}:{port['target']}"
        yield service["image"]
        yield from service.get("command") or []

    def is_ready(self, service: str, condition: str) -> bool:
        """Whether all of a service is as far as another wants it. Raises ServiceFailed where it never will be."""
        return all(self._is_ready(service, container, condition) for container in self.containers(service))

    def _is_ready(self, service: str, container: str, condition: str) -> bool:
        state = state_of(container)
        has_ended = state["Status"] in ("exited", "stopped")
        if condition == "service_completed_successfully":
            if has_ended and state["ExitCode"]:
                raise ServiceFailed(f"{container} ended with code {state['ExitCode']}")
            return has_ended
        if has_ended:
            raise ServiceFailed(f"{container} has ended with code {state['ExitCode']}")
        if condition == "service_healthy":
            test = self.services[service]["healthcheck"]["test"][1:]  # podman's own would need systemd
            return (
                subprocess.run(["podman", "exec", container, *test], capture_output=True, check=False).returncode == 0
            )
        return True

    def up(self) -> None:
        """Start all services, each when those that it depends on are ready."""
        podman("network", "create", self.name)
        waiting, started = list(self.services), time.monotonic()
        while waiting:
            for name in waiting.copy():
                wanted = self.services[name].get("depends_on", {})
                if any(other in waiting for other in wanted):
                    continue
                if all(self.is_ready(other, how["condition"]) for other, how in wanted.items()):
                    self.start(name)
                    waiting.remove(name)
                    print(f"[{time.monotonic() - started:5.0f} s] {name} started", flush=True)
            if time.monotonic() - started > PATIENCE_S:
                raise ServiceFailed(f"not started after {PATIENCE_S:.0f} s: {', '.join(waiting)}")
            time.sleep(POLL_S)

    def again(self, service: str, changed: list[str]) -> None:
        """Start a service once more, with changes in its environment."""
        self.services[service]["environment"] |= dict(pair.split("=", 1) for pair in changed)
        podman("rm", "--force", *self.containers(service))
        self.start(service)

    def stop(self) -> None:
        """End all services, first those that others don't need. Raises ServiceFailed where some had to be killed."""
        left, killed = list(self.services), []
        while left:
            needed = {other for name in left for other in self.services[name].get("depends_on", {})}
            for name in [name for name in left if name not in needed]:
                left.remove(name)
                killed += [container for container in self.containers(name) if self._ends_killed(name, container)]
        if killed:
            raise ServiceFailed(f"killed, as they didn't end in their time: {', '.join(killed)}")

    def _ends_killed(self, service: str, container: str) -> bool:
        if state_of(container)["Status"] != "running":
            return False
        grace_s, started = seconds(self.services[service].get("stop_grace_period", GRACE)), time.monotonic()
        podman("stop", f"--time={grace_s}", container)
        code = state_of(container)["ExitCode"]
        print(f"{container} ended after {time.monotonic() - started:.1f} of {grace_s} s, code {code}", flush=True)
        return bool(code == KILLED)


def podman(*arguments: str) -> str:
    """Run a podman command and return what it prints."""
    run = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    if run.returncode:
        said = run.stderr.strip().splitlines() or ["nothing said"]
        raise ServiceFailed(f"podman {' '.join(arguments[:4])}: {said[-1]}")
    return run.stdout.strip()


def state_of(container: str) -> dict[str, Any]:
    """Return a container's state: Status, ExitCode ..."""
    return dict(json.loads(podman("inspect", "--format", "{{json .State}}", container)))


def seconds(duration: str) -> int:
    """Return a duration of compose in seconds: `1m30s` is 90."""
    return sum(int(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in re.findall(r"(\d+)([hms])", duration))


def main() -> int:
    """Do the command; return the exit code of the service, 0 for `stop` and `more`."""
    project = Project(json.loads(Path(sys.argv[1]).read_text()))
    command, *arguments = sys.argv[2:]
    if command == "stop":
        project.stop()
        return 0
    service = arguments[0]
    if command == "more":
        project.start(service)
        return 0
    if command == "up":
        project.up()
    else:
        project.again(service, arguments[1:])
    container = project.containers(service)[0]
    subprocess.run(["podman", "logs", "--follow", container], check=False)
    return int(podman("wait", container))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ServiceFailed as error:
        sys.exit(str(error))
