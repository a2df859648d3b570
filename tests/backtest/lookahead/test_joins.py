"""Joins by known_at, by hand: releases at 8:30 in New York, sessions that open at 9:30 and close at 16:00."""

import pandas as pd
import polars as pl
import pytest

from workbench.backtest.lookahead import examine_join
from workbench.errors import DataRefused, InputRefused

# January 2024, New York is five hours behind UTC: 8:30 is 13:30, the open 14:30, the close 21:00.
RELEASES = pd.DataFrame(
    {
        "series": "CPI",
        "period": pd.to_datetime(["2023-11-01", "2023-12-01", "2023-11-01"]),
        "value": [3.1, 3.4, 3.2],
        "known_at": pd.to_datetime(["2023-12-12T13:30Z", "2024-01-11T13:30Z", "2024-01-11T13:30Z"]),
    }
)
SESSIONS = pd.to_datetime(["2024-01-09", "2024-01-10", "2024-01-11", "2024-01-12"])


def joined(rows: list[tuple[str, int]]) -> pd.DataFrame:
    """Return sessions, each beside the release of this number."""
    left = pd.DataFrame({"session": pd.to_datetime([session for session, _ in rows])})
    return pd.concat([left, RELEASES.iloc[[number for _, number in rows]].reset_index(drop=True)], axis=1)


HONEST = [("2024-01-09", 0), ("2024-01-10", 0), ("2024-01-11", 1), ("2024-01-12", 2)]


def test_a_join_by_what_was_known_is_clean():
    report = examine_join(joined(HONEST), dataset="macro", key=("series", "period"))
    assert report.clean
    assert report.data == "4 joined rows, 4 with something found, 2024-01-09 to 2024-01-12"
    assert report.kind == "join"


def test_a_row_that_was_known_later_is_named_with_both_moments():
    wrong = joined([("2024-01-09", 1), ("2024-01-10", 0), ("2024-01-11", 1), ("2024-01-12", 1)])
    report = examine_join(wrong, dataset="macro", key=("series", "period"))
    assert report.reads_ahead
    assert [finding.text for finding in report.findings] == [
        "macro CPI 2023-12-01: known from 2024-01-11T13:30Z, 1 day after the decision at 2024-01-09T21:00Z that it "
        "was joined to; join on known_at, or read as_of the decision"
    ]
    finding = report.findings[0]
    assert (finding.date, finding.read, finding.column) == ("2024-01-09", "2024-01-11T13:30Z", "macro CPI 2023-12-01")
    assert report.notes == ("1 of 4 rows were joined to a decision before they were known",)


def test_a_fact_is_named_once_for_all_its_sessions():
    wrong = joined([("2024-01-09", 1), ("2024-01-10", 1), ("2024-01-10", 2), ("2024-01-12", 2)])
    report = examine_join(wrong, dataset="macro", key=("series", "period"))
    assert len(report.findings) == 2
    assert "that it was joined to (and 1 more)" in report.findings[0].text


def test_a_decision_at_the_open_does_not_know_the_close():
    bars = pd.DataFrame({"session": SESSIONS, "known_at": (SESSIONS + pd.Timedelta(hours=21)).tz_localize("UTC")})
    assert examine_join(bars, dataset="prices_daily").clean
    report = examine_join(bars, dataset="prices_daily", decided="open", key=("session",))
    assert len(report.findings) == 4
    assert (
        "prices_daily 2024-01-09: known from 2024-01-09T21:00Z, 6.5 hours after the decision at 2024-01-09T14:30Z"
        in (report.findings[0].text)
    )
    # A release at 8:30 is known when the session opens.
    assert examine_join(joined([("2024-01-11", 1)]), decided="open").clean


def test_the_moment_of_decision_may_be_a_column():
    frame = joined(HONEST).assign(
        at=pd.to_datetime(["2024-01-09T15:00Z", "2024-01-10T15:00Z"] + ["2024-01-11T13:29Z"] * 2)
    )
    report = examine_join(frame, dataset="macro", key=("series",), decided_at="at")
    assert report.notes[0].startswith("2 of 4 rows")


def test_rows_that_found_nothing_are_no_violation():
    frame = joined(HONEST)
    frame.loc[0, "known_at"] = pd.NaT
    report = examine_join(frame)
    assert report.clean
    assert "3 with something found" in report.data


def test_polars_and_an_index_of_sessions_are_taken():
    wrong = joined([("2024-01-09", 1), ("2024-01-12", 1)])
    by_polars = examine_join(pl.from_pandas(wrong).with_columns(pl.col("session").cast(pl.Date)), dataset="macro")
    by_index = examine_join(wrong.set_index("session"), dataset="macro")
    assert len(by_polars.findings) == len(by_index.findings) == 1


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda f: f.drop(columns="known_at"), InputRefused, "no column 'known_at'.*Keep it through the join"),
        (lambda f: f.rename(columns={"session": "sesion"}), InputRefused, "no column 'session'. Did you mean 'sesion'"),
        (lambda f: f.assign(known_at=f["known_at"].dt.tz_localize(None)), DataRefused, "'known_at' has no time zone"),
        (lambda f: f.assign(session=pd.Timestamp("2024-01-13")), DataRefused, "2024-01-13 is no session of XNYS"),
        (lambda f: f.assign(session=pd.NaT), DataRefused, "no row has a session"),
        (lambda f: f.assign(session=pd.Timestamp("2024-01-12", tz="UTC")), DataRefused, "sessions have a time zone"),
    ],
)
def test_a_join_that_cannot_be_judged_is_refused(change, error, says):
    with pytest.raises(error, match=says):
        examine_join(change(joined(HONEST)), dataset="macro")
