"""Free ports on loopback, and waiting for the servers that listen there."""

from __future__ import annotations

import random
import socket
import time

import requests

from tools.supervisor import ServiceFailed, Supervisor

OWN_RANGE = range(20000, 30000)
"""Below the ports that operating systems hand out to outgoing connections."""
START_TIMEOUT_S = 60.0


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_ports(*preferred: int) -> list[int]:
    """Return the preferred ports; in the place of each that is taken a free one."""
    chosen: list[int] = []
    for port in preferred:
        while port in chosen or not is_free(port):
            port = random.SystemRandom().choice(OWN_RANGE)
        chosen.append(port)
    return chosen


def wait_for_answer(url: str, name: str, supervisor: Supervisor) -> None:
    """Wait until a service on loopback answers, whatever it says. Raises ServiceFailed with the end of its log."""
    deadline = time.monotonic() + START_TIMEOUT_S
    session = requests.Session()
    session.trust_env = False  # loopback is never reached through a proxy
    while True:
        try:
            session.get(url, timeout=5)
            return
        except requests.RequestException as error:
            supervisor.check()
            if time.monotonic() > deadline:
                raise ServiceFailed(f"{name} doesn't answer ({error}):\n{supervisor.log_end(name)}") from None
        time.sleep(0.1)
