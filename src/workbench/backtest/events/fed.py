"""The meetings of the Federal Reserve's committee as events, from a table of its press releases.

>>> event_study(bars, fed_statements(file, "^SPX"), model="mean_adjusted", window=(-5, 5))
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from workbench.errors import DataRefused, NoData

# Since 2013 statements appear at 14:00 in New York. Those of unscheduled meetings come at any hour, which the table
# does not tell; at 14:00 each one of 2020 belongs to the session to which it belonged.
PUBLISHED = pd.Timedelta(hours=14)


def fed_statements(file: Path, symbol: str) -> pd.DataFrame:
    """Return each statement (symbol, known_at, kind, title) from a CSV with date (YYYYMMDD), kind and title.

    ``symbol`` is what the study looks at: the meeting is an event of the whole market.
    """
    if not file.is_file():
        raise NoData(f"{file.name}: no such file in {file.parent.name}/; put the press releases there")
    table = pd.read_csv(file, usecols=lambda name: name in ("date", "kind", "title"))
    missing = {"date", "kind", "title"} - set(table)
    if missing:
        raise DataRefused(f"{file.name}: no column {', '.join(sorted(missing))}; it needs date, kind and title")
    statements = table[table["kind"] == "statement"].drop_duplicates("date").sort_values("date", ignore_index=True)
    days = pd.to_datetime(statements["date"].astype(str), format="%Y%m%d")
    known_at = (days + PUBLISHED).dt.tz_localize("America/New_York").dt.tz_convert("UTC")
    return pd.DataFrame(
        {"symbol": symbol, "known_at": known_at, "kind": statements["kind"], "title": statements["title"]}
    )
