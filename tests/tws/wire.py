"""A client of bytes, written from the field lists of the protocol: it shares no code with the simulator."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any


class Wire:
    """One connection; ``got`` keeps every message received, as lists of text."""

    def __init__(self, port: int, client_id: int = 1, version: str = "v157..178", start: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.settimeout(5)
        self.buffer = b""
        self.got: list[list[str]] = []
        self.sent: tuple[Any, ...] = ()
        self.socket.sendall(b"API\0" + struct.pack(">I", len(version)) + version.encode())
        try:
            self.version = int(self.read()[0])
        except (EOFError, OSError):
            self.close()
            raise
        if start:
            self.send(71, 2, client_id, "")
            while self.until("4")[3] != "2158":  # the last of the notices
                pass
            self.got = [fields for fields in self.got if fields[0] != "4"]

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, *fields: Any) -> None:
        self.sent = fields
        body = "".join(f"{field}\0" for field in fields).encode()
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def read(self) -> list[str]:
        """Return the next message; EOFError at the end of the connection."""
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack(">I", self.buffer[:4])[0]:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        size = struct.unpack(">I", self.buffer[:4])[0]
        body, self.buffer = self.buffer[4 : 4 + size], self.buffer[4 + size :]
        fields = body.decode("utf-8", "replace").split("\0")[:-1]
        self.got.append(fields)
        return fields

    def until(self, kind: str, seconds: float = 5.0) -> list[str]:
        """Read up to the next message of a kind."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            fields = self.read()
            if fields[0] == kind:
                return fields
        raise TimeoutError(kind)

    def quiet(self, seconds: float = 0.15) -> list[list[str]]:
        """Return what comes within a time."""
        found = []
        self.socket.settimeout(seconds)
        try:
            while True:
                found.append(self.read())
        except TimeoutError:
            return found
        finally:
            self.socket.settimeout(5)

    def place(self, order_id: int, action: str = "BUY", quantity: Any = 100, kind: str = "MKT", limit: Any = "",
              aux: Any = "", tif: str = "DAY", symbol: str = "AAPL", **other: Any) -> None:  # fmt: skip
        """Send placeOrder with 110 fields at version 157, 114 at 178, as the reference lists them."""
        take = {"oca": "", "account": "", "ref": "", "transmit": 1, "parent": 0, "oca_type": 0, "what_if": 0} | other
        contract = [0, symbol, "STK", "", 0.0, "", "", "SMART", "", "USD", "", ""]
        fields: list[Any] = [3, order_id, *contract, "", "", action, quantity, kind, limit, aux, tif, take["oca"]]
        fields += [take["account"], "", 0, take["ref"], take["transmit"], take["parent"], 0, 0, 0, 0, 0, 0, ""]
        fields += [0.0, "", "", "", "", ""] + ([""] if self.version < 177 else [])
        fields += [
            "",
            0,
            "",
            -1,
            take["oca_type"],
            "",
            "",
            0,
            "",
            "",
            0,
            0,
            "",
            0,
            "",
            "",
            "",
            "",
            "",
            0,
            "",
            "",
            "",
            "",
        ]
        fields += [0, "", "", "", "", "", "", "", "", "", "", 0, "", "", 0, 0, "", "", take["what_if"], "", 0, 0, 0, 0]
        fields += ["", "", "", "", "", "", 0, "", "", "", "", "", "", "", "", 0, 0, 0, ""]
        fields += [""] if self.version >= 158 else []
        fields += [""] if self.version >= 160 else []
        fields += [0] if self.version >= 162 else []
        fields += [""] if self.version >= 166 else []
        fields += [""] if self.version >= 169 else []
        self.send(*fields)

    def statuses(self) -> list[tuple[str, str, str]]:
        """Return every orderStatus received: order id, status, filled."""
        return [(fields[1], fields[2], fields[3]) for fields in self.got if fields[0] == "3"]

    def errors(self) -> list[tuple[str, str]]:
        """Return every error received: request or order id, code."""
        return [(fields[2], fields[3]) for fields in self.got if fields[0] == "4"]
