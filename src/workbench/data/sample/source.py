"""The sample market as a source: it serves every dataset offline, and says ``market=sample`` on each batch.

>>> SampleSource(SampleParams()).fetch(Request("prices_daily", symbols=("TEC01",)))
"""

from __future__ import annotations

import polars as pl

from workbench.data.datasets import dataset
from workbench.data.sample.companies import symbols
from workbench.data.sample.economy import SERIES
from workbench.data.sample.market import BUILDERS
from workbench.data.sample.tape import market_sessions
from workbench.data.source import Batch, Request
from workbench.errors import InputRefused, NoData, did_you_mean
from workbench.params import SampleParams
from workbench.sessions import Calendar
from workbench.types import SAMPLE

# Inside the market's range nothing to report is a true answer for these: no split that week, no release.
_MAY_BE_EMPTY = {"symbols", "actions", "macro", "events"}


class SampleSource:
    """Serves the sample market of some parameters; it generates only the datasets asked for, once a process."""

    name = "sample"
    market = SAMPLE

    def __init__(self, params: SampleParams) -> None:
        self.params = params

    def datasets(self) -> tuple[str, ...]:
        """Return the names of the datasets it serves; of no intraday sessions there are no 5-minute bars."""
        return tuple(name for name in BUILDERS if name != "prices_5min" or self.params.intraday_sessions)

    def fetch(self, request: Request) -> Batch:
        """Return the rows asked for, or raise; dates are event dates, both ends included."""
        name = request.dataset
        if name not in BUILDERS:
            raise InputRefused(f"source 'sample': no dataset '{name}'.{did_you_mean(name, BUILDERS)}")
        shape = dataset(name)
        known = SERIES if shape.symbol == "series" else symbols(self.params)
        for symbol in request.symbols:
            if symbol not in known:
                raise NoData(f"source 'sample': unknown {shape.symbol} '{symbol}'.{did_you_mean(symbol, known)}")
        self._check_dates(request)
        rows = BUILDERS[name](self.params).filter(_wanted(request, shape.symbol, shape.time))
        if rows.is_empty() and name not in _MAY_BE_EMPTY:
            raise NoData(f"source 'sample': no {name} for {_asked(request)}; {self._why(name)}")
        rows = rows.with_columns(source=pl.lit(self.name)).select(list(shape.schema))
        return Batch(name, self.market, self.name, rows)

    def _check_dates(self, request: Request) -> None:
        start, end = request.start, request.end
        if start is not None and end is not None and start > end:
            raise InputRefused(f"source 'sample': start {start} is after end {end}; swap them")
        sessions = market_sessions(self.params, Calendar())
        first, last = sessions[0].date(), sessions[-1].date()
        if (start is not None and start > last) or (end is not None and end < first):
            raise NoData(
                f"source 'sample': no {request.dataset} for {_asked(request)}; the sample market runs from {first} "
                f"to {last} (sample.years, sample.end)"
            )

    def _why(self, name: str) -> str:
        if name == "prices_5min":
            return (
                f"it has 5-minute bars of its last {self.params.intraday_sessions} sessions only "
                "(sample.intraday_sessions), and none after a delisting"
            )
        return "not listed then, or no session; dataset 'symbols' says who is listed when"


def _wanted(request: Request, symbol: str, time: str) -> pl.Expr:
    wanted = pl.lit(True)
    if request.symbols:
        wanted &= pl.col(symbol).is_in(request.symbols)
    # A session in New York lies within one UTC day, so that a bar's UTC date is its session.
    day = pl.col(time).cast(pl.Date)
    if request.start is not None:
        wanted &= day >= request.start
    if request.end is not None:
        wanted &= day <= request.end
    return wanted


def _asked(request: Request) -> str:
    who = ", ".join(request.symbols[:5]) + (" …" if len(request.symbols) > 5 else "")
    return f"{who or 'any symbol'} from {request.start or 'the beginning'} to {request.end or 'the end'}"
