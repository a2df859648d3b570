"""The framing of the socket: a big-endian length, then text fields that each end in NUL."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

HELLO = b"API\0"
LONGEST = 1 << 20  # bytes; a length above it is not a frame of this protocol
LENGTH = struct.Struct(">I")


class BadFrame(ValueError):
    """The bytes are not frames of this protocol; nothing after them can be trusted."""


def text_of(value: object) -> str:
    """Return a field as the wire has it: ``1``/``0`` for booleans, ``100`` and never ``100.0``, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def encode(fields: Iterable[object]) -> bytes:
    """Return one frame.

    >>> encode([9, 1, 5.0])
    b'\\x00\\x00\\x00\\x069\\x001\\x005\\x00'
    """
    body = ("\0".join([text_of(field) for field in fields]) + "\0").encode()
    return LENGTH.pack(len(body)) + body


def fields_of(body: bytes) -> list[str]:
    """Return the fields of a frame's body."""
    fields = body.decode("utf-8", "backslashreplace").split("\0")
    if fields and not fields[-1]:
        fields.pop()
    return fields


class FrameReader:
    """Cuts a stream of bytes into frames, however they arrive; the first one is the client's greeting."""

    def __init__(self) -> None:
        self.waiting = bytearray()
        self.greeted = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the body of every frame that is whole."""
        self.waiting += data
        if not self.greeted:
            if len(self.waiting) < len(HELLO):
                return
            if self.waiting[: len(HELLO)] != HELLO:
                raise BadFrame(
                    f"the stream starts with {bytes(self.waiting[:4])!r}, an API client starts with {HELLO!r}"
                )
            del self.waiting[: len(HELLO)]
            self.greeted = True
        while len(self.waiting) >= LENGTH.size:
            (size,) = LENGTH.unpack_from(self.waiting)
            if size > LONGEST:
                raise BadFrame(f"a frame of {size} bytes is announced, the longest is {LONGEST}")
            if len(self.waiting) < LENGTH.size + size:
                return
            body = bytes(self.waiting[LENGTH.size : LENGTH.size + size])
            del self.waiting[: LENGTH.size + size]
            yield body
