"""The earnings of the companies: when they are published, and a surprise that tells of the moves to come.

No price is moved for an event. The market is made first, and a surprise is made of two parts: noise, and the
company's own shocks of the sessions that begin with the first one that knew of it (``truth.EVENT_REACTION``,
``EVENT_DRIFT``). To whoever studies the events that is the same as prices that follow the surprise; and every price
stays as it is, whatever the size.

Each company reports once in a season of 63 sessions, within the season's first 20: so reports come in crowds.
"""

from __future__ import annotations

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from workbench.data.datasets import UTC_TIME, dataset
from workbench.data.sample.streams import Array, stream
from workbench.data.sample.tape import QUARTER, Tape
from workbench.data.sample.truth import EVENT_DRIFT, EVENT_DRIFT_SESSIONS, EVENT_REACTION, EVENT_SECTORS, SECTORS
from workbench.params import SampleParams

KIND = "earnings"
_CROWD = 20  # sessions
_NEW_YORK, _UTC = ZoneInfo("America/New_York"), ZoneInfo("UTC")
_BEFORE_OPEN, _AFTER_CLOSE = time(7, 30), time(16, 30)


def event_rows(params: SampleParams, tape: Tape) -> pl.DataFrame:
    """Return every report that was published by the close of the last session, by symbol and time."""
    who, sessions = tape.companies, len(tape.sessions)
    seasons = range(0, sessions, QUARTER)
    draw = stream(params.seed, "events")
    early = draw.random(len(who)) < 0.5  # a company always reports before the open, or always after the close
    offset = draw.integers(0, _CROWD, (len(seasons), len(who)))
    noise = draw.standard_normal((len(seasons), len(who)))
    # The shocks of the last reports lie partly after the market's end.
    shocks = np.vstack([tape.process.own, draw.standard_normal((EVENT_DRIFT_SESSIONS + 1, len(who)))])
    informed = np.isin(who.sector, [list(SECTORS).index(code) for code in EVENT_SECTORS])
    days, end = tape.sessions.date, tape.closes[-1].to_pydatetime()
    rows: list[tuple[str, datetime, str, float, datetime]] = []
    for number, season in enumerate(seasons):
        for company, symbol in enumerate(who.symbols):
            day = season + int(offset[number, company])
            if day >= sessions or not who.first[company] < day <= who.last[company]:
                continue
            published = _in_utc(days[day], _BEFORE_OPEN if early[company] else _AFTER_CLOSE)
            if published > end:
                continue
            knows = day if early[company] else day + 1
            size = params.events * informed[company]
            surprise = _surprise(
                size, shocks[knows : knows + EVENT_DRIFT_SESSIONS + 1, company], noise[number, company]
            )
            rows.append((symbol, published, KIND, round(surprise, 4), published))
    schema = {**dataset("events").columns, "known_at": UTC_TIME}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("symbol", "ts")


def _surprise(size: float, shocks: Array, noise: float) -> float:
    """Return noise that knows a little of the shocks to come, of variance one."""
    loads = size * np.array([EVENT_REACTION] + [EVENT_DRIFT] * EVENT_DRIFT_SESSIONS)
    return float((loads @ shocks + noise) / np.sqrt(1.0 + loads @ loads))


def _in_utc(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, _NEW_YORK).astimezone(_UTC)
