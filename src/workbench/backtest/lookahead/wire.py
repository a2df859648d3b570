"""What goes over a pipe to a process that examines and back: a line of JSON and raw arrays. Nothing is pickled.

8 bytes: length of the head | head: JSON, with the type and shape of each array | the arrays, one after the other
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.backtest.lookahead.answer import Answer, Label
from workbench.backtest.lookahead.world import World, world_of_bars
from workbench.types import FIELDS, Bars

Head = dict[str, Any]
Arrays = Sequence[NDArray[Any]]


def send(pipe: int, head: Head, arrays: Arrays = ()) -> None:
    """Write one message."""
    whole = [np.ascontiguousarray(each) for each in arrays]
    text = json.dumps({**head, "arrays": [(each.dtype.str, each.shape) for each in whole]}).encode()
    for part in (len(text).to_bytes(8, "big"), text, *(each.reshape(-1).view(np.uint8) for each in whole)):
        rest = memoryview(part)  # type: ignore[arg-type]
        while len(rest):
            rest = rest[os.write(pipe, rest) :]


def receive(pipe: int) -> tuple[Head, list[NDArray[Any]]] | None:
    """Return one message, None where the other side is gone."""
    size = _read(pipe, 8)
    text = None if size is None else _read(pipe, int.from_bytes(size, "big"))
    if text is None:
        return None
    head, arrays = json.loads(text), []
    for kind, shape in head.pop("arrays"):
        values = np.empty(shape, dtype=kind)
        raw = _read(pipe, values.nbytes)
        if raw is None:
            return None
        arrays.append(np.frombuffer(raw, dtype=kind).reshape(shape))
    return head, arrays


def _read(pipe: int, size: int) -> bytearray | None:
    whole = bytearray(size)
    rest = memoryview(whole)
    while len(rest):
        count = os.readv(pipe, [rest])
        if not count:
            return None
        rest = rest[count:]
    return whole


def world_told(world: World) -> tuple[Head, list[NDArray[Any]]]:
    """Return a world as a message; what put it together is known on the other side."""
    span = (world.span.start, world.span.stop)
    head: Head = {"unit": world.index.unit, "zone": None if world.index.tz is None else "UTC", "span": span}
    head |= {"index": world.index.name, "fields": list(world.fields)}
    return head, [world.index.asi8, *world.fields.values()]


def world_read(head: Head, arrays: Arrays, like: World) -> World:
    """Return the world of a message, put together as the one it is like."""
    fields = dict(zip(head["fields"], arrays[1:], strict=True))
    return replace(like, index=_index(head, arrays), fields=fields, span=slice(*head["span"]))


def bars_told(bars: Bars) -> Head:
    """Return what bars are beside their numbers."""
    columns = bars.close.columns
    names: Head = {"symbols": list(columns), "columns": columns.name, "kind": str(columns.dtype)}
    return {**names, "market": bars.market, "sectors": dict(bars.sectors)}


def bars_read(bars: Head, head: Head, arrays: Arrays) -> World:
    """Return the world of a message, as one of bars."""
    columns = pd.Index(bars["symbols"], dtype=bars["kind"], name=bars["columns"])
    fields, index = dict(zip(head["fields"], arrays[1:], strict=True)), _index(head, arrays)
    frames = {name: pd.DataFrame(fields[name], index, columns) for name in (*FIELDS, "traded_close")}
    return world_of_bars(Bars(**frames, market=bars["market"], sectors=bars["sectors"]))


def answer_told(answer: Answer) -> tuple[Head, list[NDArray[Any]]]:
    """Return an answer as a message."""
    labels = [(label.group, label.symbol) for label in answer.labels]
    return {"labels": labels, "missing": float(answer.missing)}, [answer.values]


def answer_read(head: Head, arrays: Arrays) -> Answer:
    """Return the answer of a message."""
    return Answer(tuple(Label(*label) for label in head["labels"]), arrays[0], head["missing"])


def _index(head: Head, arrays: Arrays) -> pd.DatetimeIndex:
    index = pd.DatetimeIndex(arrays[0].view(f"M8[{head['unit']}]"), name=head["index"])
    return index if head["zone"] is None else index.tz_localize("UTC")
