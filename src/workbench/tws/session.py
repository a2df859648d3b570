"""One client's connection: greeting, requests in, messages out, and the faults on the way."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, cast

from workbench.tws import replies, requests
from workbench.tws.answers import Answers
from workbench.tws.faults import ON_REPLY, ON_REQUEST, Rule
from workbench.tws.feed import Feed
from workbench.tws.frame import LENGTH, BadFrame, FrameReader, encode, fields_of, text_of
from workbench.tws.hours import NEW_YORK, stamp

if TYPE_CHECKING:
    from workbench.tws.gateway import Gateway

NUMBER = re.compile(r"-?[0-9]{1,18}")
RANGE = re.compile(r"v(\d+)(?:\.\.(\d+))?")
# What the gateway must ask the broker for: unanswered while the link is down.
NEED_LINK = frozenset(
    {"placeOrder", "cancelOrder", "reqGlobalCancel", "reqContractDetails", "reqHistoricalData", "reqMktData"}
)
NOTICES = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)
FREEZE_SECONDS = 5.0  # a half-open session keeps its client id so long, where the fault does not say otherwise


class Session(asyncio.Protocol):
    """A socket with its client id; it is started once message 71 has come."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        gateway.session_count += 1
        self.number = gateway.session_count
        self.reader = FrameReader()
        self.transport: asyncio.Transport
        self.version = 0
        self.client_id = -1
        self.started = False
        self.frozen = False
        self.frozen_seconds = FREEZE_SECONDS
        self.gone = False
        self.answers = Answers(gateway, self)
        self.feed = Feed(gateway, self)
        self.times: deque[float] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.gateway.sessions.append(self)
        found = transport.get_extra_info("socket")
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, error: Exception | None) -> None:
        self.forget()

    def forget(self) -> None:
        """Give the client id back, at once or after it has lingered."""
        if self.gone:
            return
        self.gone = True
        with contextlib.suppress(ValueError):
            self.gateway.sessions.remove(self)
        seconds = self.frozen_seconds if self.frozen else self.gateway.linger_seconds
        if self.started and seconds:
            self.gateway.lingering[self.client_id] = time.monotonic() + seconds

    def data_received(self, data: bytes) -> None:
        if self.frozen or self.gone:
            return
        self.gateway.catch_up()
        try:
            for body in self.reader.feed(data):
                if self.frozen or self.gone:
                    break
                if not self.version:
                    self.greet(body.decode("ascii", "replace"))
                else:
                    self.receive(body)
        except BadFrame:
            self.gateway.settle()
            self.close()
        self.gateway.settle()

    def greet(self, text: str) -> None:
        """Agree on a version; nothing more is sent until message 71."""
        match = RANGE.match(text)
        if match is None:
            raise BadFrame(f"the greeting {text!r} names no version")
        least, most = int(match[1]), int(match[2] or match[1])
        version = min(self.gateway.settings.server_version, most)
        version = 157 if version == 158 else version
        if version < least:
            raise BadFrame(f"the client knows versions {least} to {most}, the server speaks {version}")
        self.version = version
        self.gateway.outbox.append((self, encode([version, stamp(self.gateway.clock.now(), NEW_YORK)])))

    def receive(self, body: bytes) -> None:
        """Take one request, with the faults that wait for it."""
        fields = fields_of(body)
        kind = requests.KINDS.get(int(fields[0]), "") if fields and NUMBER.fullmatch(fields[0]) else ""
        rules = self.gateway.faults.firing(ON_REQUEST, kind, self.client_id)
        if kind in requests.ORDER_KINDS:
            fate = ",".join(f"{rule.do} {rule.when}" for rule in rules) or "taken"
            named = {"placeOrder": fields[1:2], "cancelOrder": fields[2:3]}.get(kind, [])
            order_id = int(named[0]) if named and NUMBER.fullmatch(named[0]) else 0
            self.gateway.store.log(
                self.number, self.client_id, kind, order_id, fate, [f for f in fields if f], self.gateway.exchange.at
            )
        if self.too_fast():
            self.send(replies.error(-1, 100, "Max rate of messages per second has been exceeded", self.version))
            return
        if kind in NEED_LINK and not self.gateway.link_up:
            self.gateway.unread.append((self, body))
            return
        before = [rule for rule in rules if rule.when == "before"]
        if any(not self.spoil(rule, body) for rule in before):
            return
        after = [rule for rule in rules if rule.when != "before"]
        if any(rule.when == "after" for rule in after):  # processed, and nothing of it is told
            self.gateway.silent = self
        try:
            self.handle(body)
        finally:
            self.gateway.silent = None
        for rule in after:
            self.spoil(rule, body)

    def spoil(self, rule: Rule, body: bytes) -> bool:
        """Apply a fault to a request; True where the request goes on all the same."""
        if rule.do == "delay":
            asyncio.get_running_loop().call_later(rule.seconds, self.handle_later, body)
        elif rule.do in ("reset", "close", "freeze"):
            self.end(rule)
        elif rule.do == "error":
            fields = fields_of(body)
            told = [int(field) for field in fields[1:3] if NUMBER.fullmatch(field)] or [-1]
            number = told[0] if fields[0] == "3" else told[-1]  # most requests have a version before their id
            self.send(replies.error(number, rule.code, rule.text or "a fault on demand", self.version))
        return False

    def handle_later(self, body: bytes) -> None:
        """Take a request that was delayed."""
        if not self.gone:
            self.gateway.catch_up()
            self.handle(body)
            self.gateway.settle()

    def handle(self, body: bytes) -> None:
        """Answer one request; what cannot be read is an error to the client, never the end of the server."""
        fields = fields_of(body)
        try:
            number = int(fields[0])
            kind = requests.KINDS.get(number, "")
            if not kind:
                self.send(replies.error(-1, 505, f"Fatal Error: Unknown message id. {number}", self.version))
                return
            self.answers.answer(kind, fields)
        except requests.Unreadable as error:
            self.send(replies.error(self.answers.asking, error.code, str(error), self.version))
        except (ValueError, LookupError, OverflowError) as error:
            text = f"Error reading request. Unable to parse data. {error}"
            self.send(replies.error(self.answers.asking, 320, text, self.version))

    def too_fast(self) -> bool:
        """Whether the client sends more messages a second than allowed."""
        if not self.gateway.rate:
            return False
        now = time.monotonic()
        self.times.append(now)
        while self.times[0] < now - 1.0:
            self.times.popleft()
        return len(self.times) > self.gateway.rate

    def start(self, client_id: int) -> None:
        """Take message 71: the client id is free, or 326 and the end."""
        if self.gateway.in_use(client_id, time.monotonic()):
            text = "Unable to connect as the client id is already in use. Retry with a unique client id."
            self.send(replies.error(-1, 326, text, self.version))
            self.gateway.settle()
            self.close()
            return
        self.client_id, self.started = client_id, True
        self.send([15, 1, self.gateway.account.name])
        self.send([9, 1, self.gateway.desk.next_id(client_id)])
        for code, text in NOTICES:
            self.send(replies.error(-1, code, text, self.version))

    def send(self, fields: replies.Fields) -> None:
        """Queue a message, spoiled where a fault says so; it leaves once the state is durable."""
        if self.gone or self.frozen or self.gateway.silent is self:
            return
        kind = replies.KINDS.get(cast(int, fields[0]), "")
        rules = self.gateway.faults.rules and self.gateway.faults.firing(ON_REPLY, kind, self.client_id)
        if not rules:
            self.gateway.outbox.append((self, encode(fields)))
            return
        copies, data, seconds = 1, encode(fields), 0.0
        for rule in rules:
            if rule.do == "drop":
                return
            if rule.do in ("reset", "close", "freeze"):
                self.end(rule)
                return
            if rule.do == "delay":
                seconds = rule.seconds
            elif rule.do == "duplicate":
                copies += rule.count
            elif rule.do == "truncate":
                data = encode([text_of(field) for field in fields[: max(1, len(fields) - rule.count)]])
            elif rule.do == "mutate":
                data = self.gateway.faults.mutate(data, rule.count)
            elif rule.do == "corrupt_length":
                data = LENGTH.pack(len(data) + 1_000_000) + data[LENGTH.size :]
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self.write, data * copies)
        else:
            self.gateway.outbox.append((self, data * copies))

    def write(self, data: bytes) -> None:
        """Put bytes on the socket."""
        if not self.gone and not self.frozen and not self.transport.is_closing():
            self.transport.write(data)

    def end(self, rule: Rule) -> None:
        """End the connection as a fault says."""
        self.gateway.settle()
        if rule.do == "reset":
            self.reset()
        elif rule.do == "close":
            self.close()
        else:
            self.freeze(rule.seconds)

    def close(self) -> None:
        """End the connection in order."""
        self.transport.close()
        self.forget()

    def reset(self) -> None:
        """End the connection with an RST: what was not read yet is lost."""
        found = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
        self.forget()

    def freeze(self, seconds: float = 0.0) -> None:
        """Become half-open: the socket stays, and nothing comes or goes any more."""
        self.frozen, self.frozen_seconds = True, seconds or FREEZE_SECONDS
        with contextlib.suppress(RuntimeError):
            self.transport.pause_reading()
        asyncio.get_running_loop().call_later(self.frozen_seconds, self.thaw)

    def thaw(self) -> None:
        """Give a half-open session up."""
        self.frozen = False
        if not self.gone:
            self.transport.abort()
            self.forget()
