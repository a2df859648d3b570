"""Nothing reaches the lake unvalidated, but for rows that a person answers for, with a reason that stays."""

from __future__ import annotations

import ast
import getpass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.data.test_quality import NOW, SCHEMA, SESSIONS, bar, market, replaced, stage, validate
from workbench.data.inventory import inventory, kept_out
from workbench.data.lake import Lake
from workbench.data.quality import audit
from workbench.data.release import release, unreleased
from workbench.data.validated import Validated
from workbench.errors import BatchRefused, InputRefused

SOURCE = Path(__file__).parents[2] / "src" / "workbench"
LEAP = {"open": 170.0, "high": 171.0, "low": 169.0, "close": 170.0}  # +70 % on one day, and back on the next


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Six symbols over 19 sessions; S01 leapt on the fourth, S02 has no volume on the fifth: both in quarantine."""
    lake = Lake(tmp_path / "lake", "real")
    rows = replaced(replaced(market(), "S01", SESSIONS[3], **LEAP), "S02", SESSIONS[4], volume=-1.0)
    stage(lake, rows)
    (report,) = validate(lake)
    assert report.quarantined == {"jump": 1, "negative_volume": 1}
    return lake


def leapt(lake: Lake) -> pl.DataFrame:
    return lake.quarantine("prices_daily").filter(pl.col("rule") == "jump")


def test_a_frame_that_was_not_validated_cannot_be_published(lake: Lake) -> None:
    rows = pl.DataFrame([bar("S00", SESSIONS[0], -5.0)], schema=SCHEMA)
    with pytest.raises(InputRefused, match="publish: a DataFrame was not validated; stage a batch with lake"):
        lake.publish(rows)  # type: ignore[arg-type]
    with pytest.raises(InputRefused, match="prices_daily: rows without a word for them"):
        Validated("prices_daily", rows, " ")
    assert lake.versions() == {"prices_daily": 0}


def test_only_the_validation_and_a_release_vouch_for_rows() -> None:
    def makes_validated(file: Path) -> bool:
        calls = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
        return any(isinstance(call.func, ast.Name) and call.func.id == "Validated" for call in calls)

    makers = {file.relative_to(SOURCE).as_posix() for file in SOURCE.rglob("*.py") if makes_validated(file)}
    assert makers == {"data/quality.py", "data/release.py"}


def test_a_version_says_which_batch_passed(lake: Lake) -> None:
    (first,) = lake.history("prices_daily").iter_rows(named=True)
    assert (first["operation"], first["by"]) == ("publish", "")
    assert first["because"].startswith("batch ")
    assert " of source 'hand' passed " in first["because"]


def test_a_released_row_is_in_the_lake_with_reason_person_and_moment(lake: Lake) -> None:
    began = datetime.now(UTC)
    done = release(lake, "prices_daily", leapt(lake), " S01 was bid for, filing of 7 March ", by="ann")
    assert (done.version, done.added) == (1, 1)
    assert lake.read("prices_daily", ["S01"], SESSIONS[3], SESSIONS[3])["close"].to_list() == [170.0]
    (row,) = lake.released("prices_daily").iter_rows(named=True)
    assert (row["symbol"], row["session"], row["close"], row["by"]) == ("S01", SESSIONS[3], 170.0, "ann")
    assert row["because"] == "S01 was bid for, filing of 7 March (against jump)"
    assert began - timedelta(seconds=1) <= row["released_at"] <= datetime.now(UTC)
    last = lake.history("prices_daily").row(-1, named=True)
    assert (last["operation"], last["by"], last["because"]) == ("release", "ann", row["because"])


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_a_reason_may_hold_whatever_a_web_page_puts_between_lines(lake: Lake, separator: str) -> None:
    release(lake, "prices_daily", leapt(lake), f"filing of that day:{separator}bid for", by="ann")
    again = Lake(lake.root, "real")
    assert again.read("prices_daily", ["S01"], SESSIONS[3], SESSIONS[3])["close"].to_list() == [170.0]
    (row,) = again.released("prices_daily").iter_rows(named=True)
    assert row["because"].startswith("filing of that day:")
    assert [(told.dataset, told.released) for told in audit(again)] == [("prices_daily", 1)]


def test_what_was_released_stays_known_after_the_files_are_rewritten(lake: Lake) -> None:
    release(lake, "prices_daily", leapt(lake), "it is right")
    assert lake.optimize("prices_daily") == 2
    again = Lake(lake.root, "real").released("prices_daily")
    assert again["by"].to_list() == [getpass.getuser()]
    assert again["close"].to_list() == [170.0]


def test_a_released_row_is_no_longer_kept_out_and_the_audit_counts_it_apart(lake: Lake) -> None:
    assert [rule for _, rule, *_ in kept_out(lake)] == ["jump", "negative_volume"]
    release(lake, "prices_daily", leapt(lake), "it is right")
    assert unreleased(lake, "prices_daily")["rule"].to_list() == ["negative_volume"]
    assert [facts.quarantined for facts in inventory(lake)] == [1]
    assert kept_out(lake) == [("prices_daily", "negative_volume", 1, "2024-06-01")]
    assert len(lake.quarantine("prices_daily")) == 2  # what was sent stays as it was
    (found,) = audit(lake, now=NOW)
    assert (found.broken, found.rules, found.released) == (0, (), 1)


def test_a_release_again_changes_nothing(lake: Lake) -> None:
    release(lake, "prices_daily", leapt(lake), "it is right")
    assert release(lake, "prices_daily", leapt(lake), "it is right").unchanged == 1
    assert lake.version("prices_daily") == 1


def test_a_row_that_contradicts_a_stored_one_is_released_as_a_correction_only(lake: Lake) -> None:
    said = [row | {"close": row["close"] * 1.005} for row in market(SESSIONS[:1], ["S00"])]
    stage(lake, [*said, *market(SESSIONS[:1], ["S01", "S02"])], source="other")
    (report,) = validate(lake)
    assert report.quarantined == {"second_source": 1}
    rows = lake.quarantine("prices_daily").filter(pl.col("rule") == "second_source")
    with pytest.raises(BatchRefused, match="give a correction the moment from which it was known"):
        release(lake, "prices_daily", rows, "the other source is right")
    later = rows.with_columns(known_at=pl.lit(NOW).cast(SCHEMA["known_at"]))
    assert release(lake, "prices_daily", later, "the other source is right").corrected == 1
    assert "second_source" not in unreleased(lake, "prices_daily")["rule"].to_list()


@pytest.mark.parametrize(
    ("changed", "reason", "says"),
    [
        ({}, "  ", "prices_daily: release without a reason"),
        ({"close": 171.0}, "right", "S01 2024-03-07 is not in quarantine as it is here"),
        ({"known_at": datetime(2024, 3, 7, 20, tzinfo=UTC)}, "right", "is not in quarantine as it is here"),
        ({"known_at": datetime(2124, 3, 7, tzinfo=UTC)}, "right", "known_at 2124-03-07 .* lies in the future"),
    ],
)
def test_a_release_of_other_rows_or_without_a_word_is_refused(
    lake: Lake, changed: dict[str, object], reason: str, says: str
) -> None:
    rows = leapt(lake).with_columns(**{name: pl.lit(value).cast(SCHEMA[name]) for name, value in changed.items()})
    with pytest.raises(InputRefused, match=says):
        release(lake, "prices_daily", rows, reason)
    assert lake.version("prices_daily") == 0


def test_no_reason_makes_an_impossible_row_right(lake: Lake) -> None:
    with pytest.raises(InputRefused, match="S02 2024-03-08 breaks 'negative_volume', and no reason makes that right"):
        release(lake, "prices_daily", lake.quarantine("prices_daily"), "it is right")
    assert lake.version("prices_daily") == 0
