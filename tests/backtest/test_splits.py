import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.backtest.splits import Fold, folds, folds_after_warm_up
from workbench.errors import InputRefused
from workbench.params import WalkForwardParams


@st.composite
def plans(draw):
    params = WalkForwardParams(
        mode=draw(st.sampled_from(["rolling", "anchored"])),
        train_sessions=draw(st.integers(20, 200)),
        test_sessions=draw(st.integers(5, 100)),
        purge_sessions=draw(st.integers(0, 20)),
        embargo_sessions=draw(st.integers(0, 20)),
    )
    least = params.train_sessions + params.purge_sessions + params.embargo_sessions + params.test_sessions
    return draw(st.integers(least, least + 700)), params


@given(plans())
def test_every_fold_keeps_the_gap_and_the_tests_tile_without_overlap(plan):
    rows, params = plan
    made = folds(rows, params)
    gap = params.purge_sessions + params.embargo_sessions
    for fold in made:
        assert fold.test.start - fold.train.stop == gap
        assert 0 <= fold.train.start < fold.train.stop
        assert fold.test.stop <= rows
        length = fold.train.stop - fold.train.start
        if params.mode == "rolling":
            assert length == params.train_sessions
        else:
            assert fold.train.start == 0
            assert length == params.train_sessions + fold.number * params.test_sessions
    for before, after in itertools.pairwise(made):
        assert before.test.stop == after.test.start
        assert before.test.stop - before.test.start == params.test_sessions
    # What is left over at the end is less than a quarter of a test window.
    assert rows - made[-1].test.stop < max(1, params.test_sessions / 4)


def test_by_hand():
    params = WalkForwardParams(train_sessions=20, test_sessions=10, purge_sessions=1, embargo_sessions=2)
    made = folds(46, params)
    assert [(f.train.start, f.train.stop, f.test.start, f.test.stop) for f in made] == [
        (0, 20, 23, 33),
        (10, 30, 33, 43),
        (20, 40, 43, 46),
    ]


def test_windows_longer_than_the_data_are_refused_with_their_sum():
    params = WalkForwardParams(train_sessions=100, test_sessions=50, purge_sessions=1, embargo_sessions=4)
    with pytest.raises(InputRefused, match=r"100 \+ gap 5 \+ test_sessions 50 = 155 is longer than the data \(154"):
        folds(154, params)
    assert len(folds(155, params)) == 1


def test_folds_after_a_warm_up_begin_where_the_longest_lookback_ends():
    params = WalkForwardParams(
        warm_up_sessions=30, train_sessions=20, test_sessions=10, purge_sessions=1, embargo_sessions=1
    )
    assert folds_after_warm_up("x", [5, 40], 72, params) == [Fold(0, slice(40, 60), slice(62, 72))]
    with pytest.raises(InputRefused, match=r"warm-up of 72 sessions.*longer than the data"):
        folds_after_warm_up("x", [72], 72, params)


@pytest.mark.parametrize(("lookback", "says"), [(5, "warm_up_sessions 30"), (40, "longest lookback 40")])
def test_windows_longer_than_what_a_warm_up_leaves_are_refused_with_the_warm_up_in_their_sum(lookback, says):
    params = WalkForwardParams(
        warm_up_sessions=30, train_sessions=20, test_sessions=10, purge_sessions=1, embargo_sessions=1
    )
    with pytest.raises(InputRefused) as refused:
        folds_after_warm_up("x", [lookback], 61, params)
    assert str(refused.value).startswith(
        f"walk_forward: {says} + train_sessions 20 + gap 2 + test_sessions 10 = {int(says[-2:]) + 32} "
        "is longer than the data (61 sessions)"
    )
