"""The faults on demand: rules that spoil messages on their way, events that happen now or at a simulated time."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from workbench.tws import replies, requests
from workbench.tws.frame import LENGTH
from workbench.tws.refused import SimulatorRefused, nearest

MESSAGES = frozenset(requests.KINDS.values()) | frozenset(replies.KINDS.values())
ON_REQUEST = frozenset({"drop", "reset", "close", "freeze", "error", "delay"})
ON_REPLY = frozenset({"drop", "reset", "close", "freeze", "delay", "duplicate", "truncate", "mutate", "corrupt_length"})
ON_TICK = frozenset({"bad_tick"})
RULES = ON_REQUEST | ON_REPLY | ON_TICK
# What happens at once, with the words each event knows.
EVENTS: dict[str, frozenset[str]] = {
    "notice": frozenset({"code", "text", "request", "client"}),
    "link": frozenset({"state"}),  # down (1100), lost (1101: back, subscriptions gone), kept (1102: back)
    "restart": frozenset({"seconds", "rollback"}),
    "rollback": frozenset({"count", "client"}),
    "linger": frozenset({"seconds"}),
    "skew": frozenset({"seconds"}),
    "hold": frozenset({"state"}),
    "partial": frozenset({"count"}),
    "correct": frozenset({"exec_id", "shares", "price"}),
    "repeat": frozenset({"exec_id"}),
    "fill": frozenset({"client", "order_id", "shares", "price"}),
    "forget": frozenset({"client", "order_id"}),
    "split": frozenset({"state"}),
    "rate": frozenset({"count"}),
    "abort": frozenset({"client"}),
    "manual": frozenset({"symbol", "action", "shares"}),
}
BAD_TICKS = ("nan", "0", "-1", "negative", "inf", "1e308", "x10", "crossed")


@dataclass
class Rule:
    """A fault that waits for its message: skips some, fires some times, by chance where asked."""

    do: str
    message: str = ""  # a kind of request or reply; empty is any kind
    when: str = "before"  # "after": the request is processed, but nothing of it is told; "besides": an error beside it
    times: int = -1  # how often; -1 is for ever
    skip: int = 0
    chance: float = 1.0
    client: int | None = None
    symbol: str = ""
    seconds: float = 0.0
    count: int = 1  # copies, fields or bytes
    code: int = 0
    text: str = ""
    value: str = ""
    number: int = 0
    fired: int = 0


WORDS = frozenset(one.name for one in fields(Rule)) - {"number", "fired"}


class Faults:
    """The rules in force, and events that wait for their time."""

    def __init__(self, seed: int) -> None:
        self.rules: list[Rule] = []
        self.waiting: list[tuple[float, dict[str, Any]]] = []
        self.random = random.Random(seed)  # noqa: S311 (a simulation that must repeat)
        self.count = 0

    def add(self, given: Mapping[str, Any]) -> int:
        """Add a rule and return its number."""
        rule = Rule(**checked(given))
        self.count += 1
        rule.number = self.count
        self.rules.append(rule)
        return rule.number

    def clear(self, number: int | None = None) -> None:
        """Take away one rule or all."""
        self.rules = [rule for rule in self.rules if number is not None and rule.number != number]

    def firing(self, known: frozenset[str], message: str, client: int, symbol: str = "") -> list[Rule]:
        """Return the rules that fire for a message now, and count them."""
        found = []
        for rule in self.rules:
            if rule.do not in known or rule.message not in ("", message) or rule.client not in (None, client):
                continue
            if rule.symbol not in ("", symbol):
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            if rule.times == 0 or (rule.chance < 1.0 and self.random.random() >= rule.chance):
                continue
            rule.times -= rule.times > 0
            rule.fired += 1
            found.append(rule)
        return found

    def mutate(self, data: bytes, count: int) -> bytes:
        """Change bytes of a frame's body, never its length."""
        spoiled = bytearray(data)
        for _ in range(count if len(spoiled) > LENGTH.size else 0):
            at = self.random.randrange(LENGTH.size, len(spoiled))
            spoiled[at] ^= self.random.randrange(1, 256)
        return bytes(spoiled)


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a fault whose words are all known, or refuse it in one line."""
    do = str(given.get("do", ""))
    if do not in RULES and do not in EVENTS:
        raise SimulatorRefused(f"fault '{do}' is not known. {nearest(do, RULES | set(EVENTS))}")
    known = (WORDS if do in RULES else EVENTS[do] | {"do"}) | {"at"}
    for word in given:
        if word not in known:
            raise SimulatorRefused(f"fault '{do}': unknown word '{word}'. {nearest(word, known)}")
    message = str(given.get("message", ""))
    if message and message not in MESSAGES:
        raise SimulatorRefused(f"fault '{do}': no message '{message}'. {nearest(message, MESSAGES)}")
    whens = ("before", "after", "besides") if do == "error" else ("before", "after")
    if given.get("when", "before") not in whens:
        raise SimulatorRefused(f"fault '{do}': when '{given['when']}' is one of {', '.join(whens)}")
    if do == "bad_tick" and str(given.get("value", "")) not in BAD_TICKS:
        raise SimulatorRefused(f"fault 'bad_tick': value '{given.get('value', '')}'. {nearest('', BAD_TICKS)}")
    if do == "error" and not given.get("code"):
        raise SimulatorRefused("fault 'error': no code; give one, such as 201")
    for word in ("seconds", "chance", "times", "skip", "count", "at"):
        if word in given and (isinstance(given[word], bool) or not isinstance(given[word], int | float)):
            raise SimulatorRefused(f"fault '{do}': {word} {given[word]!r} is not a number")
    found = {word: value for word, value in given.items() if word != "at"}
    return found | {"value": str(found["value"])} if "value" in found else found


def read_faults(file: Path) -> tuple[dict[str, Any], ...]:
    """Read a list of faults from a JSON or YAML file."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SimulatorRefused(f"{file}: not readable as a faults file: {error}") from None
    try:
        if file.suffix == ".json":
            found = json.loads(text)
        else:
            import yaml  # only where such a file is used: the simulator itself needs numpy alone

            found = yaml.safe_load(text)
    except Exception as error:  # noqa: BLE001 (two libraries, each with its own tree)
        raise SimulatorRefused(f"{file}: {str(error).splitlines()[0]}") from None
    if isinstance(found, dict) and set(found) == {"faults"}:
        found = found["faults"]
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise SimulatorRefused(f"{file}: a faults file is a list, each entry like {{do: drop, message: placeOrder}}")
    for one in found:
        checked(one)
    return tuple(found)
