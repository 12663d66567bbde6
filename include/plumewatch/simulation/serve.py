"""`python -m plumewatch.simulation.serve DIR --port P` serves a world's catalogue as a STAC API on loopback.

The API is `rustac serve`, a STAC server with an in-memory backend, as a child process. In front of it, on the one port
that users see, stands a small web server that hands API requests on and serves the assets (/assets) with byte ranges,
and the same world as a Sentinel Hub (/sentinel_hub).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from plumewatch.errors import InputError, PlumewatchError, ServiceError
from plumewatch.simulation.sentinel_hub import HUB_PATH, Hub, make_hub_app

HOST = "127.0.0.1"
DEFAULT_PORT = 8765
START_TIMEOUT_S = 30.0
START_ATTEMPTS = 3
STOP_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
POLL_S = 0.05
# With one of these in a search rustac's memory backend finds nothing; a server without the extension ignores them.
UNKNOWN_EXTENSIONS = ("query", "filter", "filter-lang", "filter-crs")
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
RUSTAC = "import sys\nfrom rustac import main\nsys.exit(main())\n"


def read_catalogue(folder: Path, url: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the collections and items of a world with asset links that are absolute below `url`/assets.

    Raises InputError where the folder holds no catalogue.
    """
    catalogue = folder / "catalogue"
    collections = [json.loads(file.read_text()) for file in sorted(catalogue.glob("*/collection.json"))]
    items = []
    for file in sorted(catalogue.glob("*/*/*.json")):
        item = json.loads(file.read_text())
        base = f"{url}/assets/{file.parent.relative_to(catalogue).as_posix()}"
        for asset in item["assets"].values():
            asset["href"] = f"{base}/{asset['href'].removeprefix('./')}"
        items.append(item | {"links": []})
    if not collections or not items:
        raise InputError(str(catalogue), "no STAC collection with items", "what plumewatch.simulation has written")
    return [c | {"links": []} for c in collections], items


@contextlib.contextmanager
def stac_server(folder: Path, url: str) -> Iterator[str]:
    """Run rustac on the world's catalogue and yield its own address; in its links it calls itself `url`."""
    collections, items = read_catalogue(folder, url)
    with tempfile.TemporaryDirectory(prefix=".stac-", dir=folder) as scratch:
        script = Path(scratch) / "stac_server.py"  # rustac looks for its arguments behind a script's name
        script.write_text(RUSTAC)
        files = []
        for content in (*collections, *items):
            files.append(Path(scratch) / f"{content['id']}.json")
            files[-1].write_text(json.dumps(content))
        command = [sys.executable, str(script), "serve", "--addr", url, *map(str, files)]
        child, address = _start(command, url, Path(scratch) / "log")
        try:
            yield address
        finally:
            _stop_child(child)


def _start(command: list[str], url: str, log_file: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start rustac on a free port; another process may take the port before rustac does, then on another one."""
    for _ in range(START_ATTEMPTS):
        address = f"{HOST}:{free_port()}"
        with log_file.open("wb") as output:
            child = subprocess.Popen(
                [*command, "--bind", address], stdout=output, stderr=output, preexec_fn=_die_with_parent
            )
        try:
            if _is_up(child, f"http://{address}", url):
                return child, f"http://{address}"
        except BaseException:
            _stop_child(child)
            raise
    raise ServiceError(f"rustac ended with {child.returncode}: {log_file.read_text(errors='replace')[-500:]}")


def _stop_child(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _die_with_parent() -> None:
    """Have the kernel end the child when its parent is gone, however that went; Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _is_up(child: subprocess.Popen[bytes], address: str, url: str) -> bool:
    """Wait until rustac answers, and calls itself `url`: another server's answer is not meant. False: it has ended."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            return False
        try:
            if f'"{url}/"'.encode() in requests.get(address, timeout=REQUEST_TIMEOUT_S).content:
                return True
        except requests.RequestException:  # nobody listens yet
            pass
        time.sleep(POLL_S)
    raise ServiceError(f"rustac did not answer at {address} within {START_TIMEOUT_S:.0f} s")


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def make_app(folder: Path) -> Starlette:
    """Return the web application that users see; its `state.backend` is the address of rustac, set before it serves."""

    async def hand_on(request: Request) -> Response:
        target = request.app.state.backend + request.url.path
        target += f"?{request.url.query}" if request.url.query else ""
        body = _without_unknown_extensions(await request.body()) if request.method == "POST" else None
        return await run_in_threadpool(_fetch, target, body)

    assets = Mount("/assets", StaticFiles(directory=folder / "catalogue", check_dir=False))
    hub = Mount(HUB_PATH, make_hub_app(Hub(folder)))
    return Starlette(routes=[assets, hub, Route("/{path:path}", hand_on, methods=["GET", "POST"])])


def _without_unknown_extensions(body: bytes) -> bytes:
    try:
        search = json.loads(body)
    except ValueError:
        return body  # rustac says what is wrong with it
    if not isinstance(search, dict):
        return body
    return json.dumps({k: v for k, v in search.items() if k not in UNKNOWN_EXTENSIONS}).encode()


def _fetch(url: str, body: bytes | None) -> Response:
    headers = {"Content-Type": "application/json"} if body else None
    method = "GET" if body is None else "POST"
    answer = requests.request(method, url, data=body, headers=headers, timeout=REQUEST_TIMEOUT_S)
    return Response(answer.content, answer.status_code, media_type=answer.headers.get("Content-Type"))


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; print the address once it can be asked."""
    parser = argparse.ArgumentParser(prog="python -m plumewatch.simulation.serve", description=__doc__)
    parser.add_argument("folder", type=Path, help="what `python -m plumewatch.simulation --output` has written")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"0 takes a free one (default: {DEFAULT_PORT})")
    parser.add_argument("--host", default=HOST, help=f"own name to be reached by (default: {HOST}, by nobody else)")
    arguments = parser.parse_args(argv)
    folder = arguments.folder.resolve()
    app = make_app(folder)
    patience = int(STOP_TIMEOUT_S)
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=patience)
    config.load()
    server = uvicorn.Server(config)
    _stop_at_signals(server)
    # Listening before the address is printed: whoever reads it can ask at once.
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((arguments.host, arguments.port))
        listener.listen()
        url = f"http://{arguments.host}:{listener.getsockname()[1]}"
        try:
            with stac_server(folder, url) as app.state.backend:
                print(url, flush=True)  # noqa: T201 - what the command says
                server.run(sockets=[listener])
        except PlumewatchError as error:
            print(error, file=sys.stderr)  # noqa: T201 - what the command says
            return 1
    return 0


def _stop_at_signals(server: uvicorn.Server) -> None:
    """Leave through every `finally` at SIGTERM and SIGINT: rustac ends, its files go.

    While the server runs it handles the signals itself, and raises them again when it has stopped.
    """

    def stop(*_: object) -> None:
        server.should_exit = True  # Python drops exceptions in some callbacks; then the server stops by this
        sys.exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


if __name__ == "__main__":
    sys.exit(main())
