"""A proxy before the S3 server that answers some requests as a bucket in trouble does.

`python -m tools.faults.spoiled_s3 PORT SERVER_PORT FILE`: the file says what is wrong now, a `Trouble` in JSON; without
it everything passes. What passes is left byte for byte, so that signatures hold.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ANSWERS = {"403": "AccessDenied", "500": "InternalError", "503": "SlowDown"}
KINDS = (*ANSWERS, "reset", "truncated", "slow")
CHUNK = 65536
SLOW_S = 0.5  # more for each 64 kB
HEAD_END = b"\r\n\r\n"
METHODS = (b"GET ", b"PUT ", b"HEAD ", b"POST ", b"DELETE ")


@dataclass(frozen=True)
class Trouble:
    """What is wrong with the bucket."""

    kinds: tuple[str, ...]
    """Of KINDS, drawn for each request."""
    share: float
    """Of requests."""

    def begin(self, file: Path) -> None:
        """From now on; `end` ends it."""
        file.with_suffix(".new").write_text(json.dumps(asdict(self)))
        file.with_suffix(".new").rename(file)

    @staticmethod
    def end(file: Path) -> None:
        """All is well again."""
        file.unlink(missing_ok=True)


class _Proxy:
    def __init__(self, server_port: int, file: Path) -> None:
        self._server_port, self._file = server_port, file
        self._random = random.Random(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        with suppress(OSError):
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
            connection = _Connection(self, reader, writer, from_server, to_server)
            tasks = [asyncio.create_task(connection.requests()), asyncio.create_task(connection.answers())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            to_server.close()
        writer.close()

    def draw(self) -> str | None:
        """Return what befalls a request, if anything."""
        try:
            trouble = Trouble(**json.loads(self._file.read_text()))
        except FileNotFoundError:
            return None
        return self._random.choice(trouble.kinds) if self._random.random() < trouble.share else None


class _Connection:
    def __init__(
        self,
        proxy: _Proxy,
        from_client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._from_client, self._to_client = from_client, to_client
        self._from_server, self._to_server = from_server, to_server
        self._is_answered = True  # what comes next of the client is a new request
        self._fate: str | None = None

    async def requests(self) -> None:
        """Pass on what the client says, but the requests that are answered here."""
        while data := await self._from_client.read(CHUNK):
            if self._is_answered and data.startswith(METHODS):
                self._is_answered = False
                self._fate = self._proxy.draw()
                if self._fate in ANSWERS:
                    await self._refuse(self._fate, data.startswith(b"HEAD "))
                    return
                if self._fate == "reset":
                    self._reset()
                    return
            self._to_server.write(data)
            await self._to_server.drain()

    async def answers(self) -> None:
        """Pass on what the server says, some of it slowly or in part."""
        while data := await self._from_server.read(CHUNK):
            self._is_answered = True
            head, end, body = data.partition(HEAD_END) if data.startswith(b"HTTP/") else (b"", b"", data)
            if self._fate == "truncated" and body:
                self._to_client.write(head + end + body[: len(body) // 2])
                await self._to_client.drain()
                return
            if self._fate == "slow":
                await asyncio.sleep(SLOW_S)
            self._to_client.write(data)
            await self._to_client.drain()

    async def _refuse(self, status: str, has_no_body: bool) -> None:
        code = ANSWERS[status]
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as asked for</Message></Error>".encode()
        head = f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
        self._to_client.write(f"{head}Connection: close\r\n\r\n".encode() + (b"" if has_no_body else body))
        await self._to_client.drain()
        self._to_client.write_eof()
        with suppress(TimeoutError):  # a body on its way is let in: closed at once, the answer would be lost with it
            async with asyncio.timeout(1.0):
                while await self._from_client.read(CHUNK):
                    pass

    def _reset(self) -> None:
        raw = self._to_client.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._to_client.transport.abort()


async def _main(port: int, server_port: int, file: Path) -> None:
    server = await asyncio.start_server(_Proxy(server_port, file).serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
