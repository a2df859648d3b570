"""The pictures of a study say what they show, and can be drawn from little."""

import numpy as np
import pandas as pd

from workbench.backtest.figures import png
from workbench.features import pictures, study, technical
from workbench.features.engine import evaluate


def words(figure):
    texts = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        texts += [text.get_text() for text in axes.texts]
        texts += [label.get_text() for label in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    return " ".join(texts)


def test_every_picture_names_its_features_and_the_market(walk):
    columns = evaluate(technical.basic(), walk)
    table = study.summary(columns, walk, 5)
    drawn = {
        "coefficients": pictures.coefficients(table, 5, walk.market),
        "decay": pictures.decay(study.decay(columns, walk, (1, 5)), walk.market),
        "time": pictures.information_through_time(study.information(columns, walk, 5), 5, walk.market),
        "persistence": pictures.persistence(study.turnover(columns), walk.market),
        "clusters": pictures.cluster_map(study.clusters(columns), walk.market),
        "quantiles": pictures.quantiles(columns.frame("momentum_21"), "momentum_21", walk),
    }
    for name, figure in drawn.items():
        said = words(figure)
        assert "momentum_21" in said, name
        assert "SAMPLE MARKET" in said, name
        assert png(figure).startswith(b"\x89PNG"), name


def test_a_clear_feature_is_blue_and_an_unclear_one_is_not():
    rows = {"rank_ic": [0.05, 0.01], "rank_low": [0.02, -0.02], "rank_high": [0.08, 0.04]}
    figure = pictures.coefficients(pd.DataFrame(rows, index=["sure", "unsure"]), 5, "real")
    whiskers = [
        line
        for line in figure.axes[0].lines
        if len(line.get_xdata()) == 2 and line.get_ydata()[0] == line.get_ydata()[1]
    ]
    assert [line.get_color() for line in whiskers] == ["#0b5cad", "#a8b0ba"]
    assert "SAMPLE" not in words(figure)


def test_many_features_are_named_by_their_clusters(walk):
    chance = np.random.default_rng(3)
    base = chance.normal(size=(4, 300))
    table = pd.DataFrame(np.corrcoef(np.repeat(base, 20, axis=0) + 0.05 * chance.normal(size=(80, 300))))
    table.index = table.columns = [f"f{number:02}" for number in range(80)]
    clusters = study.Clusters(table, pd.Series(np.repeat([1, 2, 3, 4], 20), index=table.index))
    said = words(pictures.cluster_map(clusters, "real"))
    assert said.count("+19") == 4


def test_too_few_symbols_is_said(walk):
    two = walk.select(["TEC00", "FIN00"])
    frame = evaluate([technical.momentum(5)], two).frame("momentum_5")
    assert "Five symbols at least" in words(pictures.quantiles(frame, "momentum_5", two))
