"""Ranks within groups: by hand, and as pandas gives them with every frame turned on its side."""

import numpy as np
import pandas as pd

from workbench.features.within import rank_within


def test_each_is_ranked_among_its_own_group_and_a_lone_one_is_not():
    values = pd.DataFrame(
        [[3.0, 10.0, 1.0, 20.0, 2.0], [np.nan, 5.0, 4.0, 5.0, np.nan], [1.0, np.nan, np.nan, 7.0, 1.0]],
        columns=["A1", "B1", "A2", "B2", "A3"],
    )
    found = rank_within(values, ["A", "B", "A", "B", "A"])
    expected = [
        [1.0, 0.5, 1 / 3, 1.0, 2 / 3],
        [np.nan, 0.75, np.nan, 0.75, np.nan],  # A2 alone; equals share their mean rank
        [0.75, np.nan, np.nan, np.nan, 0.75],  # B2 alone
    ]
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected, columns=values.columns))


def test_it_is_the_grouped_rank_of_pandas():
    random = np.random.default_rng(0)
    values = pd.DataFrame(random.normal(size=(400, 12)).round(1)).mask(random.random((400, 12)) < 0.6)
    groups = ["A", "B", "C"] * 4
    turned = values.T.groupby(groups)
    expected = turned.rank(pct=True).T.where(turned.transform("count").T >= 2)
    assert (expected.isna() & values.notna()).any().any()  # some were alone
    pd.testing.assert_frame_equal(rank_within(values, groups), expected)
