import numpy as np
import pandas as pd
import pytest

from workbench.search.plateau import around, neighbourhoods, positions, survey
from workbench.search.table import Rule, build_table, compare_rules

AXES = {"a": [1, 2, 3], "b": [1, 2, 3]}
CELLS = [{"a": a, "b": b} for a in AXES["a"] for b in AXES["b"]]
# A lonely peak in the middle, and ground that rises to the last row.
SCORES = [0.2, 0.3, 0.4, 0.3, 2.0, 0.6, 0.6, 0.7, 0.8]


def numbers(scores: list[float], tested: list[float] | None = None) -> pd.DataFrame:
    rest = dict.fromkeys(("train_turnover", "train_cost", "test_score", "test_turnover", "test_cost"), 1.0)
    return pd.DataFrame({"train_01": scores, "test_01": tested or [0.0] * len(scores), **rest})


def table_of(scores: list[float], errors: list[str] | None = None, folds: list[int] | None = None):
    count = len(scores)
    return build_table(CELLS, numbers(scores), errors or [""] * count, folds or [1] * count, AXES)


def found(table: pd.DataFrame, a: int, b: int) -> pd.Series:
    return table[(table["a"] == a) & (table["b"] == b)].iloc[0]


@pytest.mark.parametrize(
    ("cell", "median", "lowest", "neighbours"),
    [
        ((2, 2), 0.60, 0.2, 8),  # .2 .3 .3 .4 [.6] .6 .7 .8 2.0
        ((3, 2), 0.65, 0.3, 5),  # .3 .6 [.6 .7] .8 2.0
        ((2, 3), 0.65, 0.3, 5),
        ((1, 2), 0.35, 0.2, 5),  # .2 .3 [.3 .4] .6 2.0
    ],
)
def test_a_plateau_is_the_median_of_the_cell_and_its_neighbours(cell, median, lowest, neighbours):
    row = found(table_of(SCORES)[0], *cell)
    assert row["plateau"] == pytest.approx(median)
    assert row["plateau_worst"] == lowest
    assert row["neighbours"] == neighbours


def test_a_corner_has_too_few_neighbours_to_be_a_plateau():
    row = found(table_of(SCORES)[0], 3, 3)
    assert row["neighbours"] == 3
    assert np.isnan(row["plateau"])


def test_the_sentence_tells_the_lonely_peak_from_the_plateau():
    table, hoods = table_of(SCORES)
    terrain = survey(table, AXES, hoods, "sharpe")
    # Around the peak: .2 .3 .3 .4 .6 .6 .7 .8, median .5 of 2.0. Around a=3 b=2: .3 .6 .6 .8 2.0, median .6 of .7.
    assert terrain.sentence == (
        "The peak a=2 b=2 (Sharpe 2.00 in training) stands alone: its 8 neighbours keep 25 % of its score; "
        "the plateau around a=3 b=2 keeps 86 %. "
        "The plateau lies at the edge of the grid (a=3 is its last value): a wider grid may hold a better one."
    )


def test_a_peak_among_its_like_is_the_plateau():
    table, hoods = table_of([0.8, 0.9, 0.8, 0.9, 1.0, 0.9, 0.8, 0.9, 0.8])
    sentence = survey(table, AXES, hoods, "sharpe").sentence
    assert sentence == (
        "The peak a=2 b=2 (Sharpe 1.00 in training) is the top of the best plateau: "
        "its 8 neighbours keep 85 % of its score."
    )


def test_where_nothing_earned_the_sentence_says_so():
    table, hoods = table_of([-score for score in SCORES])
    sentence = survey(table, AXES, hoods, "calmar").sentence
    assert sentence == "No cell earned anything in training: the best, a=1 b=1, has a Calmar of −0.20."


def test_a_failed_cell_is_no_neighbour_and_one_that_never_traded_counts_zero():
    scores = SCORES.copy()
    scores[7], scores[8] = np.nan, np.nan
    table, _ = table_of(scores, errors=["", "", "", "", "", "", "", "ValueError: no", ""])
    middle = found(table, 2, 2)
    # Without a=3 b=2, and with 0 for a=3 b=3: 0 .2 .3 [.3 .4] .6 .6 2.0
    assert middle["neighbours"] == 7
    assert middle["plateau"] == pytest.approx(0.35)
    assert found(table, 3, 2)["status"] == "failed"
    assert np.isnan(found(table, 3, 2)["train_score"])


def test_a_pruned_cell_is_not_compared():
    table, _ = table_of(SCORES, folds=[1, 1, 1, 1, 0, 1, 1, 1, 1])
    assert found(table, 2, 2)["status"] == "pruned"
    assert np.isnan(found(table, 2, 2)["plateau"])
    assert table.iloc[-1][["a", "b"]].tolist() != table.iloc[0][["a", "b"]].tolist()
    assert table["status"].iloc[0] == "done"


def test_words_are_no_steps_apart_but_another_place():
    cells = [{"n": n, "w": w} for w in ("calm", "wild") for n in (1, 2)]
    hoods = neighbourhoods(positions(cells, {"n": [1, 2], "w": ["calm", "wild"]}))
    assert [sorted(int(one) for one in row if one >= 0) for row in hoods] == [[0, 1], [0, 1], [2, 3], [2, 3]]


def test_sampled_values_are_neighbours_within_a_tenth_of_the_range():
    axes = {"x": [0.0, 10.0, 5.0, 5.9, 7.1]}
    cells = [{"x": value} for value in (5.0, 5.9, 7.1)]
    # A tenth of the range, 1.0, is more than the smallest gap between the values that were named.
    hoods = neighbourhoods(positions(cells, axes, stepped=False))
    assert [sorted(int(one) for one in row if one >= 0) for row in hoods] == [[0, 1], [0, 1], [2]]


def test_around_leaves_out_what_is_not_known():
    hoods = np.array([[0, 1, 2], [1, 0, -1], [2, -1, -1]])
    median, lowest, count = around(np.array([1.0, np.nan, 3.0]), hoods, own=False)
    assert count.tolist() == [1, 1, 0]
    assert median[:2].tolist() == [3.0, 1.0]
    assert lowest[:2].tolist() == [3.0, 1.0]
    assert np.isnan(median[2])


def test_choosing_by_the_plateau_is_compared_with_choosing_by_the_peak():
    tested = [0.0] * 9
    tested[4], tested[7] = -1.0, 0.5  # what became of the peak a=2 b=2, and of the plateau a=3 b=2
    table, hoods = build_table(CELLS, numbers(SCORES, tested), [""] * 9, [1] * 9, AXES)
    assert compare_rules(table, hoods) == (Rule("peak", (-1.0,)), Rule("plateau", (0.5,)))


def test_the_table_says_which_columns_may_choose():
    table, _ = table_of(SCORES)
    assert {"train_score", "plateau", "train_01"} <= set(table.attrs["may_choose"])
    assert table.attrs["seen_after_the_choice"] == ["test_score", "test_turnover", "test_cost", "test_01"]
