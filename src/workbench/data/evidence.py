"""What rules ask about a row but the row does not say: is there a session, how late was it known, what explains a jump.

Each function returns the rows, in their order, with one more column.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.data.datasets import UTC_TIME, Dataset
from workbench.sessions import Calendar

# How long a bar takes; a daily bar ends with its session.
BAR_LENGTH = {"prices_5min": timedelta(minutes=5)}


def with_known_ahead(rows: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Add ``known_ahead_seconds``: how far in the future known_at lies."""
    return rows.with_columns(known_ahead_seconds=_seconds(pl.col("known_at") - pl.lit(now.astimezone(UTC))))


def with_named(contract: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
    """Add ``named``, 1 or 0: whether the symbol, or the series, is neither blank nor set in blanks."""
    name = pl.col(contract.symbol)
    return rows.with_columns(named=((name != "") & (name == name.str.strip_chars())).cast(pl.Int8))


def with_session(contract: Dataset, rows: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Add ``in_session``, 1 or 0, and ``known_lag_seconds``: from the moment when the bar had ended to known_at."""
    time = pl.col(contract.time)
    rows = rows.with_columns(day=time.cast(pl.Date))
    intraday = contract.name in BAR_LENGTH
    rows = rows.join(_sessions(rows["day"], calendar, intraday), on="day", how="left", maintain_order="left")
    inside, end = pl.col("closes").is_not_null(), pl.col("closes")
    if intraday:
        inside = inside & (time >= pl.col("opens")) & (time < pl.col("closes"))
        end = time + BAR_LENGTH[contract.name]
    return rows.with_columns(
        in_session=pl.when(time.is_not_null()).then(inside.fill_null(False).cast(pl.Int8)),
        known_lag_seconds=_seconds(pl.col("known_at") - end),
    ).drop("day", "opens", "closes")


def with_period_lag(contract: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
    """Add ``known_lag_seconds``: from the start of the period, or the moment of the event, to known_at."""
    start = pl.col(contract.time).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return rows.with_columns(known_lag_seconds=_seconds(pl.col("known_at") - start))


def with_jump(
    contract: Dataset, rows: pl.DataFrame, stored: pl.DataFrame, actions: pl.DataFrame, bound: float
) -> pl.DataFrame:
    """Add ``jump``: the return since the bar before, in the batch or stored, that no action explains.

    The bar after a wild one is measured from the sane bar before it, where the two agree: so a spike costs one row and
    not two. A lasting change of level costs its first row only.
    """
    key = list(contract.key)
    mine = rows.with_row_index("row").select("row", *key, "close")
    others = stored.join(mine, on=key, how="anti").select(pl.lit(None, pl.UInt32).alias("row"), *key, "close")
    bars = pl.concat([mine, others]).filter(pl.col("close").is_finite() & (pl.col("close") > 0)).drop_nulls(key)
    bars = _with_actions_until(bars.sort(contract.symbol, contract.time), contract, actions)
    back = {count: _return_since(count, contract.symbol) for count in (1, 2)}
    bars = bars.with_columns(since_last=back[1], since_last_but_one=back[2])
    wild = (bars["since_last"].abs() > bound).fill_null(False).to_numpy().copy()
    agrees = (bars["since_last_but_one"].abs() <= bound).fill_null(False).to_numpy()
    recovered = np.zeros(len(bars), dtype=bool)
    for row in np.flatnonzero(wild):
        recovered[row] = agrees[row] and wild[row - 1] and not wild[row - 2]
        wild[row] = not recovered[row]
    bars = bars.with_columns(
        jump=pl.when(pl.Series(recovered)).then("since_last_but_one").otherwise("since_last"),
    )
    found = bars.drop_nulls("row").select("row", "jump")
    return rows.with_row_index("row").join(found, on="row", how="left", maintain_order="left").drop("row")


def with_dividend_share(actions: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """Add ``dividend_share``: a dividend in shares of the close before its ex-date, null where none is known."""
    closes = prices.filter(pl.col("close") > 0).select("symbol", "session", "close").sort("session")
    asked = actions.with_row_index("row").with_columns(before=pl.col("session") - timedelta(days=1)).sort("before")
    found = asked.join_asof(
        closes, left_on="before", right_on="session", by="symbol", strategy="backward", check_sortedness=False
    )
    share = pl.when(pl.col("kind") == "dividend").then(pl.col("value") / pl.col("close"))
    return actions.with_columns(found.sort("row").select(share.alias("dividend_share")))


def _sessions(days: pl.Series, calendar: Calendar, opening: bool) -> pl.DataFrame:
    first, last = days.min(), days.max()
    known_until = datetime.now(UTC).date() + timedelta(days=300)
    schema: dict[str, Any] = {"day": pl.Date, "opens": UTC_TIME, "closes": UTC_TIME}
    if not isinstance(first, date) or not isinstance(last, date) or first > known_until or last < date(1960, 1, 1):
        return pl.DataFrame(schema=schema)
    sessions = calendar.sessions(max(first, date(1960, 1, 1)), min(last, known_until))
    times = {
        "day": list(sessions.date),
        "opens": [calendar.opens(day) if opening else None for day in sessions],
        "closes": calendar.closing_times(sessions).to_pydatetime().tolist(),
    }
    return pl.DataFrame(times, schema=schema)


def _with_actions_until(bars: pl.DataFrame, contract: Dataset, actions: pl.DataFrame) -> pl.DataFrame:
    """Add the product of all splits and the sum of all dividends of the symbol up to each bar's day."""
    split, dividend = pl.col("kind") == "split", pl.col("kind") == "dividend"
    so_far = actions.sort("symbol", "session").select(
        "symbol",
        "session",
        splits=pl.when(split).then("value").otherwise(1.0).cum_prod().over("symbol"),
        dividends=pl.when(dividend).then("value").otherwise(0.0).cum_sum().over("symbol"),
    )
    joined = bars.with_columns(day=pl.col(contract.time).cast(pl.Date)).join_asof(
        so_far, left_on="day", right_on="session", by="symbol", strategy="backward", check_sortedness=False
    )
    return joined.with_columns(pl.col("splits").fill_null(1.0), pl.col("dividends").fill_null(0.0))


def _return_since(count: int, symbol: str) -> pl.Expr:
    ratio = pl.col("splits") / pl.col("splits").shift(count)
    paid = pl.col("dividends") - pl.col("dividends").shift(count)
    before = pl.col("close").shift(count) / ratio - paid
    same = pl.col(symbol) == pl.col(symbol).shift(count)
    return pl.when(same & (before > 0)).then(pl.col("close") / before - 1.0)


def _seconds(duration: pl.Expr) -> pl.Expr:
    return duration.dt.total_microseconds() / 1e6
