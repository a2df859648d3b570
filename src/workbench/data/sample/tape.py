"""What is printed: returns turned into traded prices and volumes, with splits and dividends as they happen.

Each quarter a company may announce a split, and most pay a dividend; both are announced 20 sessions before the
ex-date, from what was known then::

    # session of the quarter:   0            1          21            43                63
    #                           ex-dividend  announce   ex-split      announce next     ex-dividend
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.data.sample.companies import Companies, companies
from workbench.data.sample.process import Process, process
from workbench.data.sample.streams import Array, steady, stream
from workbench.data.sample.truth import BENCHMARK, GAP_SHARE, SESSIONS_PER_YEAR
from workbench.errors import InputRefused
from workbench.params import SampleParams
from workbench.sessions import Calendar

QUARTER = 63
NOTICE = 20  # sessions between announcement and ex-date
_REVERSE_BELOW, _REVERSE_RATIO = 4.0, 0.1
_TICK = 0.01
_BENCHMARK_PRICE, _BENCHMARK_YIELD, _BENCHMARK_TURNOVER = 100.0, 0.018, 2.5e9


@dataclass(frozen=True)
class Action:
    """One split or dividend; ``announced`` and ``ex`` count sessions."""

    column: int
    announced: int
    ex: int
    kind: str
    value: float


@dataclass(frozen=True)
class Tape:
    """Everything daily, session × symbol as traded; NaN where a symbol did not trade. The benchmark is last."""

    symbols: tuple[str, ...]
    sessions: pd.DatetimeIndex
    closes: pd.DatetimeIndex
    half_days: NDArray[np.bool_]
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    actions: tuple[Action, ...]
    companies: Companies
    process: Process


def tape(params: SampleParams, calendar: Calendar) -> Tape:
    """Return what the market printed, session by session."""
    sessions = market_sessions(params, calendar)
    closes = calendar.closing_times(sessions)
    half_days = calendar.half_days(sessions)
    who = companies(params, len(sessions))
    moves = process(params, who, len(sessions))
    quiet = np.where(half_days, np.sqrt(0.6), 1.0)[:, None]

    gap, day, volatility = _with_fund(who, moves)
    first, last = np.append(who.first, 0), np.append(who.last, len(sessions) - 1)
    row = np.arange(len(sessions))[:, None]
    gap, day = np.where(row > first, gap, 0.0), np.where(row >= first, day, 0.0)
    logs = np.log(np.append(who.price, _BENCHMARK_PRICE)) + np.cumsum(gap + day, axis=0)
    shift, actions = _act(logs, who, first, last)

    reach = quiet * volatility * np.sqrt(1.0 - GAP_SHARE)
    luck = -2.0 * np.log1p(-stream(params.seed, "ranges").random((2, *day.shape)))
    # The extremes of a Brownian path from 0 to its end, drawn exactly.
    rise = 0.5 * (day + np.sqrt(day**2 + reach**2 * luck[0]))
    fall = 0.5 * (day - np.sqrt(day**2 + reach**2 * luck[1]))
    opened = logs - day + shift
    prices = [np.exp(opened + move).round(2).clip(_TICK) for move in (0.0, rise, fall, day)]
    volume = _volume(params.seed, who, moves, gap + day, volatility, prices[3], half_days)
    gone = (row < first) | (row > last) | _halts(params.seed, first, last, actions, len(sessions))
    open_, high, low, close, volume = (np.where(gone, np.nan, values) for values in (*prices, volume))
    return Tape(
        (*who.symbols, BENCHMARK), sessions, closes, half_days, open_, high, low, close, volume, actions, who, moves
    )


def market_sessions(params: SampleParams, calendar: Calendar) -> pd.DatetimeIndex:
    """Return the sessions of the market: so many years up to its end."""
    end = pd.Timestamp(params.end)
    start = end - pd.DateOffset(years=params.years) + pd.Timedelta(days=1)
    try:
        found = calendar.sessions(_day(start), _day(end))
    except InputRefused as error:
        raise InputRefused(f"sample.end {params.end} with sample.years {params.years}: {error}") from error
    if params.intraday_sessions > len(found):
        raise InputRefused(
            f"sample.intraday_sessions {params.intraday_sessions} is more than the market's {len(found)} sessions; "
            "lower it or raise sample.years"
        )
    return found


def _day(stamp: pd.Timestamp) -> date:
    return stamp.date()


def _with_fund(who: Companies, moves: Process) -> tuple[Array, Array, Array]:
    """Return the companies' moves and, as the last column, those of a fund that holds all of them in equal parts."""
    row = np.arange(len(moves.gap))[:, None]
    held = (row > who.first) & (row <= who.last)
    held[0] |= who.first == 0
    shares = held / held.sum(axis=1, keepdims=True)
    opened = np.log((np.exp(moves.gap) * shares).sum(axis=1))
    closed = np.log((np.exp(moves.gap + moves.day) * shares).sum(axis=1))
    return (
        np.column_stack([moves.gap, opened]),
        np.column_stack([moves.day, closed - opened]),
        np.column_stack([moves.volatility, moves.market_volatility]),
    )


def _act(
    logs: Array, who: Companies, first: NDArray[np.int64], last: NDArray[np.int64]
) -> tuple[Array, tuple[Action, ...]]:
    """Return how far splits and dividends move each log price, and the actions themselves."""
    pays = np.append(who.dividend_yield, _BENCHMARK_YIELD) * QUARTER / SESSIONS_PER_YEAR
    above, ratio = np.append(who.split_above, np.inf), np.append(who.split_ratio, 1.0)
    phase = np.append(who.phase, 42)
    shift, found = np.zeros_like(logs), []
    for column in range(logs.shape[1]):
        path, moved = logs[:, column], 0.0
        for ex in range(int(first[column] + phase[column]), int(last[column]) + 1, QUARTER):
            announced = ex - NOTICE
            value = round(pays[column] * float(np.exp(path[announced] + moved)), 2)
            if value > 0.0:
                before = round(float(np.exp(path[ex - 1] + moved)), 2)
                found.append(Action(column, announced, ex, "dividend", value))
                moved += np.log1p(-value / before)
                shift[ex:, column] = moved
            announced, split = ex + 1, ex + 1 + NOTICE
            if split > last[column]:
                break
            price = float(np.exp(path[announced] + moved))
            change = ratio[column] if price > above[column] else _REVERSE_RATIO if price < _REVERSE_BELOW else 1.0
            if change != 1.0:
                found.append(Action(column, announced, split, "split", float(change)))
                moved -= np.log(change)
                shift[split:, column] = moved
    return shift, tuple(found)


def _volume(
    seed: int,
    who: Companies,
    moves: Process,
    total: Array,
    volatility: Array,
    close: Array,
    half_days: NDArray[np.bool_],
) -> Array:
    """Return shares traded: more when volatility is high, on large moves and on busy days; fewer on half days."""
    dollars = np.append(who.turnover, _BENCHMARK_TURNOVER)
    usual = volatility / np.sqrt((volatility**2).mean(axis=0))
    surprise = np.abs(total) / volatility
    busy = 0.30 * steady(stream(seed, "volume").standard_normal(total.shape), half_life=4)
    growth = 0.03 * np.arange(len(total))[:, None] / SESSIONS_PER_YEAR
    activity = np.exp(growth + 0.6 * np.log(usual) + 0.30 * surprise.clip(0.0, 4.0) + busy - 0.3)
    half = np.where(half_days, 0.5, 1.0)[:, None]
    shares: Array = (dollars * activity * half / close).round().clip(1000.0)
    return shares


def _halts(
    seed: int, first: NDArray[np.int64], last: NDArray[np.int64], actions: tuple[Action, ...], sessions: int
) -> NDArray[np.bool_]:
    """Halt one company in five for one session, never near an ex-date or the ends of its listing."""
    draw, count = stream(seed, "halts"), len(first) - 1
    halted = np.zeros((sessions, count + 1), dtype=np.bool_)
    free = np.zeros_like(halted)
    row = np.arange(sessions)[:, None]
    free[:, :count] = (row > first[:-1] + 1) & (row < last[:-1] - 1)
    for action in actions:
        free[[action.announced, action.ex - 1, action.ex], action.column] = False
    chosen = draw.choice(count, size=max(2, count // 5), replace=False)
    for column, luck in zip(chosen, draw.random(len(chosen)), strict=True):
        open_for = np.flatnonzero(free[:, column])
        halted[open_for[int(luck * len(open_for))], column] = True
    return halted
