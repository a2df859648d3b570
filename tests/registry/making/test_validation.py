"""The validation in a pack asks the published version itself, on rows put into a lake by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from tests.data.by_hand import put
from workbench.data.lake import Lake
from workbench.errors import DataRefused
from workbench.registry.making.validation import table_facts, validation_facts


def bar(session: date, close: float) -> pl.DataFrame:
    row = {
        "symbol": "TEC01", "session": session, "open": close, "high": close, "low": close, "close": close,
        "volume": 1000.0, "known_at": datetime(session.year, session.month, session.day, 22, tzinfo=UTC),
        "source": "hand",
    }  # fmt: skip
    return pl.DataFrame([row]).with_columns(pl.col("known_at").cast(pl.Datetime("us", "UTC")))


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(tmp_path / "lake", "sample")
    put(lake, "prices_daily", bar(date(2024, 6, 27), 10.0))
    return lake


def test_a_version_whose_rows_keep_every_rule_passed(lake):
    facts = validation_facts(lake, {"prices_daily": 0})["prices_daily"]
    assert (facts["version"], facts["passed"], facts["rows"], facts["files"]) == (0, True, 1, 1)
    assert {"missing_value", "duplicate_key", "high_low", "jump", "no_session"} <= set(facts["rules"])
    assert (facts["broken"], facts["released"]) == ({"rows": 0, "rules": []}, 0)


def test_a_published_row_that_breaks_a_rule_of_today_is_found(lake):
    put(lake, "prices_daily", bar(date(2024, 6, 29), 10.0))  # a Saturday
    facts = validation_facts(lake, {"prices_daily": 1})["prices_daily"]
    assert facts["passed"] is False
    assert facts["broken"] == {"rows": 1, "rules": ["no_session"]}


def test_a_table_that_was_published_to_since_is_refused(lake):
    put(lake, "prices_daily", bar(date(2024, 6, 28), 10.1))
    with pytest.raises(DataRefused, match="prices_daily: version 0 was pinned, and version 1 is there now"):
        validation_facts(lake, {"prices_daily": 0})


def test_a_table_is_named_by_its_content(lake, tmp_path):
    facts = table_facts(lake, {"prices_daily": 0})["prices_daily"]
    other = Lake(tmp_path / "other", "sample")
    put(other, "prices_daily", bar(date(2024, 6, 27), 10.0))
    again = table_facts(other, {"prices_daily": 0})["prices_daily"]
    assert (facts["version"], facts["rows"]) == (0, 1)
    assert facts["digest"] == again["digest"]
    assert facts["id"] != again["id"]  # a table that was built again is another one
