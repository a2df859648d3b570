"""Who sits at the desk with how much, what data is there, and what the start of the runner does not load."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from workbench.errors import DataRefused, InputRefused
from workbench.live.feed import newest_closed
from workbench.live.seats import Leaving, read_weights, shares_of
from workbench.live.session import Seat
from workbench.params import LiveParams, Paths, Settings
from workbench.registry.packs.approvers import list_file
from workbench.sessions import Calendar


def test_strategies_share_the_equity_equally_unless_told():
    assert shares_of(("one", "two"), LiveParams()) == {"one": 0.5, "two": 0.5}
    told = LiveParams(shares={"one": 0.7, "two": 0.2, "three": 0.6})
    assert shares_of(("one", "two"), told) == {"one": 0.7, "two": 0.2}


def test_a_strategy_without_a_share_is_refused_by_name():
    with pytest.raises(InputRefused, match=r"live.shares has no share of 'tow', which stands here.*Did you mean 'two'"):
        shares_of(("one", "tow"), LiveParams(shares={"one": 0.5, "two": 0.5}))


def test_promoted_weights_share_out_the_equity_and_a_strategy_that_they_do_not_name_is_refused():
    assert shares_of(("one", "two"), LiveParams(), {"one": 0.3, "two": 0.2, "three": 0.5}) == {"one": 0.3, "two": 0.2}
    with pytest.raises(InputRefused, match=r"promoted as weights has no share of 'four'.*workbench retire NAME --kind"):
        shares_of(("one", "four"), LiveParams(), {"one": 0.3, "two": 0.7})


def test_what_moved_away_needs_no_share_and_takes_none_of_those_that_are_written_or_promoted():
    written = LiveParams(shares={"one": 0.9, "three": 0.1})
    assert shares_of(("one", "two"), written, None, {"two": "production"}) == {"one": 0.9, "two": 1.0}
    assert shares_of(("one", "three"), written, None, {"three": "production"}) == {"one": 0.9, "three": 0.1}
    assert shares_of(("one", "two"), LiveParams(), {"one": 1.0}, {"two": "production"}) == {"one": 1.0, "two": 1.0}
    with pytest.raises(InputRefused, match=r"live.shares has no share of 'four', which stands here"):
        shares_of(("one", "two", "four"), written, None, {"two": "production"})


@pytest.mark.parametrize(
    "weights", ["", "[]", "{}", '{"one": NaN}', '{"one": true}', '{"one": 0.0}', '{"one": 1.5}', '{"one": "0.5"}']
)
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(DataRefused, match=r"weights house version 1: .*promote others"):
        read_weights(b'{"weights": %s}' % weights.encode(), "weights house version 1")


def test_shares_above_the_whole_are_refused():
    with pytest.raises(InputRefused, match=r"sum to 1.2, more than 1"):
        shares_of(("one", "two"), LiveParams(shares={"one": 0.7, "two": 0.5}))


def test_bounded_capital_holds_all_that_the_weights_may_come_to():
    bounded = Seat(Leaving("one", ("AAA",)), "pack", capital=1_000.0, max_gross=1.5)
    assert bounded.allotted(50_000.0) == 1_000.0
    assert bounded.money(50_000.0) * 1.5 == pytest.approx(1_000.0)
    assert replace(bounded, max_gross=0.8).money(50_000.0) == 1_000.0
    assert replace(bounded, share=0.01).money(50_000.0) == 500.0  # its share of the equity is less
    assert replace(bounded, capital=None).money(50_000.0) == 50_000.0


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"shares": {"one": 0.0}}, "shares.one 0.0: a share of the equity is above 0 and at most 1"),
        ({"shares": {"one": 1.5}}, "shares.one 1.5"),
        ({"capital_step": {"one": 0}}, "capital_step.one 0: steps are counted from 1"),
        ({"every_minutes": 1}, "every_minutes"),
    ],
)
def test_settings_that_make_no_sense_are_refused(facts, says):
    with pytest.raises(ValidationError, match=says):
        LiveParams(**facts)


@pytest.mark.parametrize(
    ("moment", "session"),
    [
        (datetime(2024, 7, 3, 16, 59, tzinfo=UTC), date(2024, 7, 2)),  # the third closes at 13:00 in New York
        (datetime(2024, 7, 3, 17, 0, tzinfo=UTC), date(2024, 7, 3)),
        (datetime(2024, 7, 5, 13, 31, tzinfo=UTC), date(2024, 7, 3)),  # the fourth is a holiday
        (datetime(2024, 7, 7, 12, 0, tzinfo=UTC), date(2024, 7, 5)),  # a Sunday
    ],
)
def test_the_newest_bar_is_that_of_the_last_session_that_closed(moment, session):
    assert newest_closed(Calendar(), moment) == session


def test_the_runner_starts_without_the_backtest_notebooks_or_models():
    heavy = ("vectorbt", "mlflow", "torch", "jupyter_client", "nbclient", "matplotlib", "optuna", "sklearn")
    code = (
        "import sys, workbench.live.service, workbench.live.rehearsal, workbench.live.seats, workbench.live.ib\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout.strip() == "[]"


def test_a_runner_may_have_a_list_of_approvers_of_its_own(tmp_path):
    settings, paths = Settings(), Paths(tmp_path)
    assert list_file(settings, paths) == tmp_path / "params" / "approvers.yaml"
    own = settings.model_copy(update={"live": LiveParams(approvers="/etc/workbench/approvers.yaml")})
    assert list_file(own, paths) == Path("/etc/workbench/approvers.yaml")
