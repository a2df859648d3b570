"""Champion against challenger: numbers worked by hand on six sessions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbench.registry.lifecycle.champion import compare, compare_results, sparkline


def result(walk_forward_of, returns: list[float], held: dict[str, float], first: str = "2024-01-02", **numbers: float):
    index = pd.DatetimeIndex(pd.bdate_range(first, periods=len(returns)), freq=None)
    made = walk_forward_of()
    series = pd.Series(returns, index=index, name="return")
    positions = pd.DataFrame([{}] * (len(returns) - 1) + [held], index=index).fillna(0.0)
    simulation = replace(made.simulation, returns=series, positions=positions)
    return replace(made, simulation=simulation, out_of_sample={**made.out_of_sample, **numbers})


def rows(compared) -> dict[str, tuple[str, str]]:
    return {row.what: (row.champion, row.challenger) for row in compared.rows}


def test_positions_and_statistics_stand_side_by_side(walk_forward_of):
    champion = result(
        walk_forward_of, [0.01, -0.01, 0.02], {"AAA": 0.2, "BBB": -0.1}, turnover=4.0, cost_per_year=0.002
    )
    challenger = result(walk_forward_of, [0.0, 0.0, 0.01], {"AAA": 0.1, "CCC": 0.3}, turnover=9.5, cost_per_year=0.0071)
    found = rows(compare_results(champion, challenger, -0.08, -0.12))
    assert found["positions"] == ("2: AAA +20%, BBB -10%", "2: CCC +30%, AAA +10%")
    # AAA 0.2 → 0.1, BBB -0.1 → 0, CCC 0 → 0.3: 0.5 of equity changes hands
    assert found["held by both"] == ("1", "50.0 % of equity to trade")
    assert found["turnover a year"] == ("4.0×", "9.5×")
    assert found["costs a year"] == ("0.20 %", "0.71 %")
    assert found["expected drawdown (95 % of years above)"] == ("−8.0 %", "−12.0 %")


def test_the_correlation_is_of_the_common_sessions(walk_forward_of):
    champion = result(walk_forward_of, [0.5, 0.01, -0.01, 0.01, -0.01], {"AAA": 0.2}, first="2024-01-01")
    challenger = result(walk_forward_of, [-0.01, 0.01, -0.01, 0.01, 0.7], {"AAA": 0.2}, first="2024-01-02")
    compared = compare_results(champion, challenger)
    assert compared.correlation == pytest.approx(-1.0)
    assert rows(compared)["correlation of returns"] == ("−1.00", "4 common sessions")
    assert rows(compared)["expected drawdown (95 % of years above)"] == ("–", "–")
    assert list(compared.last["champion"]) == [0.01, -0.01, 0.01, -0.01]


def test_sixty_sessions_are_drawn_on_one_scale(walk_forward_of):
    champion = result(walk_forward_of, [0.01] * 80, {"AAA": 0.2})
    challenger = result(walk_forward_of, [0.0] * 80, {"AAA": 0.2})
    head, first, second = compare_results(champion, challenger).lines()
    assert head == "the last 60 common sessions, 2024-01-30 to 2024-04-22, on one scale:"
    assert first.split()[1].startswith("▁")
    assert first.split()[1].endswith("█")
    assert first.endswith("+81.7%")  # 1.01 to the 60th, less 1
    assert second.split()[1] == "▁" * 60
    assert second.endswith("+0.0%")


def test_two_that_never_met_are_said_to(walk_forward_of):
    champion = result(walk_forward_of, [0.01, 0.02], {"AAA": 0.2}, first="2020-01-01")
    challenger = result(walk_forward_of, [0.01, 0.02], {"AAA": 0.2}, first="2024-01-01")
    compared = compare_results(champion, challenger)
    assert compared.lines() == ["no common session: the two were never traded over the same days"]
    assert np.isnan(compared.correlation)


def test_a_flat_curve_is_a_flat_line():
    assert sparkline([1.0, 1.0], 1.0, 1.0) == "▁▁"


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
def test_a_pack_without_a_result_is_not_compared(project):
    assert compare(project.candidate(), project.candidate()) is None
