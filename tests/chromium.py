"""A real browser: headless Chromium, driven by its DevTools protocol over loopback, in real time."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--ignore-gpu-blocklist",
    "--enable-unsafe-swiftshader", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--no-proxy-server", "--remote-debugging-port=0",
)  # fmt: skip
TIMEOUT_S = 60.0
POLL_S = 0.05
PATIENT: dict[str, Any] = {"proxy": None, "open_timeout": TIMEOUT_S, "ping_interval": None}  # on a busy machine too


def find_chromium() -> str | None:
    """Return the browser's program, None where none is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Tab:
    """One page of the browser."""

    def __init__(self, address: str) -> None:
        self._socket = connect(address, max_size=None, **PATIENT)
        self._n = 0
        self.requested: list[str] = []
        """URLs that were asked for, whoever in the page asked."""
        self.errors: list[str] = []
        """What pages reported: uncaught errors, and what their policies kept them from."""
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._n += 1
        self._socket.send(json.dumps({"id": self._n, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=TIMEOUT_S))
            if message.get("id") == self._n:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message["method"] == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif message["method"] == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(str(details.get("exception", {}).get("description", details["text"])))
        elif message["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def go(self, url: str) -> None:
        """Open a page."""
        self.call("Page.navigate", url=url)

    def run(self, expression: str) -> Any:
        """Return the value of an expression, or what it promises."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, expression: str, timeout_s: float = TIMEOUT_S) -> Any:
        """Return the value of an expression as soon as it is true."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                found = f"const found = {expression}; return found?.nodeType ? true : found;"
                if value := self.run(f"(() => {{ try {{ {found} }} catch {{ return null; }} }})()"):
                    return value
            except AssertionError:  # a page that is just left
                pass
            assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {expression}"
            time.sleep(POLL_S)

    def click(self, x: float, y: float) -> None:
        """Click at a place of the page, in CSS pixels."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key that has a name."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode={"Escape": 27, "Enter": 13, "ArrowDown": 40}[key],
            )

    def resize(self, width: int, height: int) -> None:
        """Give the page a size in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self, path: Path | None = None) -> Any:
        """Return what is seen, as a PIL image; and keep it in a file, if one is named."""
        from PIL import Image

        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path:
            path.write_bytes(data)
        return Image.open(io.BytesIO(data)).convert("RGB")

    def listen(self, seconds: float) -> None:
        """Note what pages report for a while."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._note(json.loads(self._socket.recv(timeout=left)))
            except TimeoutError:
                return

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


@contextmanager
def browser(folder: Path) -> Iterator[Callable[[], Tab]]:
    """Start the browser with a profile in `folder`; yield a function that gives its tab, with nobody logged in."""
    program = find_chromium()
    assert program is not None
    command = [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    tabs: list[Tab] = []
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if line.startswith("DevTools listening on "))
        origin = line.split(" on ", 1)[1].strip()

        def new_tab() -> Tab:
            with connect(origin, **PATIENT) as whole:

                def ask(method: str, **params: Any) -> dict[str, Any]:
                    whole.send(json.dumps({"id": 1, "method": method, "params": params}))
                    while True:
                        if (answer := json.loads(whole.recv(timeout=TIMEOUT_S))).get("id") == 1:
                            return dict(answer["result"])

                context = ask("Target.createBrowserContext", disposeOnDetach=False)["browserContextId"]
                target = ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
            tabs.append(Tab(f"{origin.rsplit('/devtools/', 1)[0]}/devtools/page/{target}"))
            return tabs[-1]

        yield new_tab
    finally:
        for tab in tabs:
            tab.close()
        process.terminate()
        process.wait(timeout=20)
        if process.stderr:
            process.stderr.close()
