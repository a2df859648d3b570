"""The one clock of a project: real, or simulated for the sample market, forward only, and never at a real gateway."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from workbench.clock import MachineClock, SimulatedClock, read_clock, simulate
from workbench.errors import DataRefused, InputRefused, ParamsRefused
from workbench.params import Paths, load_settings

ROOT = Path(__file__).parents[1]
AUGUST = datetime(2024, 8, 30, 20, 0, tzinfo=UTC)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "params").mkdir()
    shutil.copy(ROOT / "params" / "base.yaml", tmp_path / "params" / "base.yaml")
    return Paths(tmp_path)


@pytest.fixture
def clock(paths: Paths) -> SimulatedClock:
    made = simulate("sample", paths, AUGUST)
    assert isinstance(made, SimulatedClock)
    return made


def test_without_a_clock_of_its_own_a_project_goes_by_the_machine(paths):
    clock = read_clock("real", paths)
    assert isinstance(clock, MachineClock)
    assert not clock.simulated
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    clock.advance(AUGUST)  # real time goes by itself
    clock.follow(AUGUST)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_simulated_time_stands_still_until_it_is_moved_and_every_reader_sees_it(clock, paths):
    assert read_clock("sample", paths).now() == AUGUST == clock.now()
    later = AUGUST + timedelta(days=4)
    clock.advance(later)
    assert read_clock("sample", paths).now() == later


def test_simulated_time_is_never_set_back(clock):
    clock.advance(AUGUST + timedelta(days=1))
    with pytest.raises(InputRefused, match="simulated time is 2024-08-31T20:00:00Z, and 2024-08-30T20:00:00Z is bef"):
        clock.advance(AUGUST)


def test_simulated_time_is_for_the_sample_market_alone(clock, paths, tmp_path):
    with pytest.raises(InputRefused, match="market 'real': this project is on simulated time"):
        read_clock("real", paths)
    with pytest.raises(InputRefused, match="market 'real': this project is on simulated time"):
        load_settings(paths, ["market=real"])
    with pytest.raises(InputRefused, match="for the sample market alone, this project is on 'real'"):
        simulate("real", Paths(tmp_path), AUGUST)


def test_a_project_is_put_on_simulated_time_once(clock, paths):
    with pytest.raises(InputRefused, match="on simulated time already, it is 2024-08-30T20:00:00Z"):
        simulate("sample", paths, AUGUST - timedelta(days=365))


@pytest.mark.parametrize("moment", [datetime(2024, 8, 30, 20, 0), datetime.now(UTC), datetime.now(UTC) + timedelta(9)])
def test_simulated_time_begins_in_the_past_and_names_its_zone(paths, moment):
    with pytest.raises(InputRefused, match="name a moment of the past with its zone"):
        simulate("sample", paths, moment)
    assert not (paths.state / "clock.json").exists()


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"format": 2, "now": "2024-08-30T20:00:00Z"}', '{"format": 1, "now": "yesterday"}',
     '{"format": 1, "now": null}', '{"format": 1, "now": "2024-08-30T20:00:00Z", "speed": 60}'],
)  # fmt: skip
def test_a_damaged_clock_is_refused_and_not_taken_for_real_time(clock, paths, content):
    (paths.state / "clock.json").write_text(content)
    with pytest.raises(DataRefused, match=r"clock\.json: damaged"):
        read_clock("sample", paths)
    with pytest.raises(DataRefused, match="damaged"):
        clock.now()


def test_data_is_read_as_of_the_simulated_time_and_no_later(clock, paths):
    assert load_settings(paths).data.as_of == AUGUST
    earlier = load_settings(paths, ["data.as_of=2020-06-30T22:00:00Z"])
    assert earlier.data.as_of == datetime(2020, 6, 30, 22, 0, tzinfo=UTC)
    with pytest.raises(
        ParamsRefused, match=r"data\.as_of 2024-12-31T22:00:00Z is after the simulated time, 2024-08-30"
    ):
        load_settings(paths, ["data.as_of=2024-12-31T22:00:00Z"])


def test_a_gateway_that_tells_real_time_may_be_a_real_one(clock):
    for apart in (timedelta(0), timedelta(hours=-23), timedelta(hours=23)):
        with pytest.raises(InputRefused, match="as this machine does, so it may be a real one"):
            clock.follow(datetime.now(UTC) + apart)
    assert clock.now() == AUGUST


def test_a_gateway_whose_time_lies_before_is_refused(clock):
    with pytest.raises(InputRefused, match="simulated time is 2024-08-30T20:00:00Z; time only goes forward"):
        clock.follow(AUGUST - timedelta(minutes=6))
    clock.follow(AUGUST - timedelta(minutes=4))  # as much as two clocks may differ
    assert clock.now() >= AUGUST


def test_at_a_gateway_time_goes_on_as_the_gateways_does(clock, paths, monkeypatch):
    monkeypatch.setattr("workbench.clock.time.monotonic", lambda: 100.0)
    clock.follow(AUGUST + timedelta(days=3))
    monkeypatch.setattr("workbench.clock.time.monotonic", lambda: 107.5)
    assert clock.now() == AUGUST + timedelta(days=3, seconds=7.5)
    # What was told is on disk: a runner that is killed starts again no earlier.
    assert json.loads((paths.state / "clock.json").read_text())["now"] == "2024-09-02T20:00:00Z"
