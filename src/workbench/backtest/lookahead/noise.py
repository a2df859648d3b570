"""Another future: later rows replaced by other values that could have been, and bars that go missing or appear.

Prices stay positive, and open and close between low and high. Everything is drawn from a seed.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from workbench.backtest.lookahead.world import Array, World

Mask = NDArray[np.bool_]

PRICES = ("open", "high", "low", "close", "traded_close")
LOUD = 1000.0
# How values are moved: each its own way, each the other way, all up, all down, some symbols far from the others.
MOVES = ("mixed", "turned", "up", "down", "apart", "against")
FAR = 4.0
# Two closes whose ratio can stay as it was: later splits are gone.
UNSPLIT = {"close": "traded_close", "traded_close": "close"}
# High and low of the wide future lie this far out, so that open and close alone can move inside them.
WIDE = 16.0
ROOM = 0.98 * float(np.log(WIDE))


def other_future(world: World, row: int, seed: int, *, loud: bool = False, missing: bool = True) -> World:
    """Return the world with everything changed that is not known at ``row``, the pattern of gaps too."""
    made = _gaps(world, row, seed) if missing and world.kind == "bars" else world
    random = np.random.default_rng(seed)
    rows = slice(row + 1, None)
    scale = LOUD if loud else 1.0
    if world.kind == "frame":
        return made.changed(
            {
                name: _column(world, name, slice(world.unknown_from(name, row), None), random, "mixed", scale)
                for name in world.fields
            }
        )
    fields = {name: values.copy() for name, values in made.fields.items()}
    opened, closed = (fields[name][rows] * _factor(random, fields[name][rows], scale) for name in ("open", "close"))
    above, below = 1.0 + random.random((2, *opened.shape))
    fields["open"][rows], fields["close"][rows] = opened, closed
    fields["high"][rows] = np.fmax(opened, closed) * above
    fields["low"][rows] = np.fmin(opened, closed) / below
    for name in ("volume", "traded_close"):
        fields[name][rows] = _moved(fields[name][rows], _factor(random, fields[name][rows], scale))
    return made.changed(fields)


def wide_future(world: World, row: int, level: float = 1.0) -> World:
    """Return bars whose later prices lie at another level, and whose highs and lows leave room for open and close.

    A frame's columns are free to move by themselves.
    """
    if world.kind == "frame":
        return world
    fields = {name: world.fields[name].copy() for name in PRICES}
    for name, room in zip(PRICES, (1.0, WIDE, 1.0 / WIDE, 1.0, 1.0), strict=True):
        fields[name][row + 1 :] *= level * room
    return world.changed(fields)


def other_values(
    world: World, names: Iterable[str], rows: slice, seed: int, *, columns: Mask | None = None, move: str = "mixed"
) -> World:
    """Return a wide world with only these fields, rows and symbols changed, in one of the ``MOVES``."""
    changes = {}
    for number, name in enumerate(names):
        random = np.random.default_rng((seed, number))
        if world.kind == "frame":
            changes[name] = _column(world, name, rows, random, move)
            continue
        values = world.fields[name].copy()
        if move in ("still", "unsplit"):
            changes[name] = _as_before(world, name, rows, columns, move)
            continue
        power = _power(random, values, move)
        if name in ("high", "low"):  # outward, or inward within the room: what lies between stays between
            sign, inward = (1.0, "down") if name == "high" else (-1.0, "up")
            power = np.full_like(power, -ROOM * sign) if move == inward else sign * np.abs(power)
        part = np.zeros(values.shape, dtype=bool)
        part[rows] = True if columns is None else columns
        changes[name] = np.where(part, _moved(values, np.exp(power)), values)
    return world.changed(changes)


def moves_of(world: World, name: str) -> tuple[str, ...]:
    """Return how a field can be moved."""
    if world.kind != "bars" or name in ("high", "low"):  # these two only move outward, and back
        return MOVES
    return (*MOVES, "still", "unsplit") if name in UNSPLIT else (*MOVES, "still")


def other_gaps(world: World, rows: slice, columns: Mask | None, *, lose: bool) -> World:
    """Return bars that are lost in these rows and symbols, or found where they were missing."""
    part = np.zeros(world.fields["close"].shape, dtype=bool)
    part[rows] = True if columns is None else columns
    present = ~np.isnan(world.fields["close"])
    return _swapped(world, part & present if lose else part & ~present)


def nudged(world: World, row: int, size: float, seed: int) -> World:
    """Return the world with every value up to ``row`` moved by a part in ``1 / size``: what rounding could do."""
    random = np.random.default_rng(seed)
    fields = {}
    for name, values in world.fields.items():
        moved = values.copy()
        moved[: row + 1] *= 1.0 + size * random.uniform(-1.0, 1.0, moved[: row + 1].shape)
        fields[name] = moved
    return world.changed(fields)


def _gaps(world: World, row: int, seed: int) -> World:
    """Let a sixth of the symbols end after ``row``, and a sixth be halted every other bar."""
    random = np.random.default_rng((seed, 1))
    shape = world.fields["close"].shape
    fate = random.permutation(shape[1]) % 6
    part = np.zeros(shape, dtype=bool)
    part[row + 1 :] = (fate == 0) | ((fate == 3) & (np.arange(shape[0] - row - 1)[:, None] % 2 == 0))
    return _swapped(world, part)


def _swapped(world: World, part: Mask) -> World:
    present = ~np.isnan(world.fields["close"])
    fields = {}
    for name in (*PRICES, "volume"):
        values = world.fields[name].copy()
        values[part & present] = np.nan
        typical = np.nanmedian(values) if not np.isnan(values).all() else 1.0
        values[part & ~present] = typical
        fields[name] = values
    for name, far in (("high", WIDE), ("low", 1.0 / WIDE)):
        fields[name][part & ~present] *= far
    return world.changed(fields)


def _as_before(world: World, name: str, rows: slice, columns: Mask | None, move: str) -> Array:
    """Return a field that stands still from these rows on, or one of the two closes in its ratio to the other."""
    values = world.fields[name]
    before = slice(max(0, rows.start - 1), max(1, rows.start))
    part = np.zeros(values.shape, dtype=bool)
    part[rows] = True if columns is None else columns
    kept = np.broadcast_to(values[before], values.shape)
    if move == "unsplit":
        other = world.fields[UNSPLIT[name]]
        kept = other * (values[before] / other[before])
    return np.where(part & ~np.isnan(kept) & ~np.isnan(values), kept, values)


def _power(random: np.random.Generator, like: Array, move: str) -> Array:
    """Draw logarithms of factors between 1/3 and 3, never close to 1; all up or all down they are larger."""
    size = random.uniform(np.log(1.5), np.log(3.0), like.shape)
    mixed: Array = np.where(random.random(like.shape) < 0.5, size, -size)
    if move in ("apart", "against"):
        sides = np.where(random.permutation(like.shape[-1]) % 2 == 0, FAR, -FAR)
        return np.broadcast_to(sides if move == "apart" else -sides, like.shape)
    moves = {"mixed": mixed, "turned": -mixed, "up": 2.0 * size, "down": -2.0 * size}
    return moves[move]


def _factor(random: np.random.Generator, like: Array, scale: float) -> Array:
    factor: Array = np.exp(_power(random, like, "mixed")) * scale
    return factor


def _moved(values: Array, factor: Array) -> Array:
    """Multiply, and give what is zero something to differ by."""
    moved: Array = np.where(values == 0.0, np.abs(factor), values * factor)
    return moved


def _column(world: World, name: str, rows: slice, random: np.random.Generator, move: str, scale: float = 1.0) -> Array:
    """Change a frame's column: flags flip, what is positive is multiplied, everything else is moved by its spread."""
    values = world.fields[name].copy()
    part, known = values[rows], values[~np.isnan(values)]
    power = _power(random, part, move)
    if np.isin(known, (0.0, 1.0)).all():
        changed = {"up": np.ones_like(part), "down": np.zeros_like(part)}.get(move, np.where(power > 0, 1 - part, part))
        changed = np.where(np.isnan(part), np.nan, changed)
    elif (known > 0.0).all():
        changed = part * np.exp(power) * scale
    else:
        spread = float(known.std()) if known.std() > 0.0 else 1.0
        changed = part + 3.0 * scale * spread * power
    values[rows] = changed
    return values
