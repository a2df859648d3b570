"""The comparison that the MLflow UI opens on: curves over calendar time, then what matters, then the rest.

MLflow keeps a saved view as a tag of the experiment; its name appears under *Views*, and a link can name it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

KEY = "workbench"
TAG = f"mlflow.sharedViewState.{KEY}"
NAME = "Newest walk-forwards"
FILTER = "tags.latest = 'true'"
ORDER = "metrics.`oos_sharpe`"
CURVES = (("equity", "Equity out of sample, growth of 1", "log"), ("drawdown", "Drawdown out of sample", "linear"))
BARS = (
    ("oos_sharpe", "Sharpe, out of sample"),
    ("is_sharpe", "Sharpe, in sample"),
    ("oos_cagr", "CAGR"),
    ("oos_max_drawdown", "Maximum drawdown"),
    ("oos_turnover", "Turnover a year"),
    ("oos_beta", "Beta"),
)
COLUMNS = ("oos_sharpe", "is_sharpe", "oos_cagr", "oos_volatility", "oos_max_drawdown", "oos_turnover")
TAGS = ("market", "git.dirty")


def view(metrics: Sequence[str] = ()) -> str:
    """Return the saved view as the value of its tag; ``metrics`` names those that go to the last, folded section."""
    shown = {name for name, *_ in (*CURVES, *BARS)}
    charts = [
        {
            **_chart("LINE", name, title, "curves"),
            "scaleType": scale,
            "xAxisKey": "time",
            "useGlobalXaxisKey": False,
            "useGlobalLineSmoothing": True,
            "lineSmoothness": 0,
            "xAxisScaleType": "linear",
            "range": {},
            "selectedXAxisMetricKey": "",
            "yAxisKey": "metric",
            "yAxisExpressions": [],
            "ignoreOutliers": False,
        }
        for name, title, scale in CURVES
    ]
    charts += [_chart("BAR", name, title, "results") for name, title in BARS]
    charts += [_chart("BAR", name, name, "rest") for name in sorted(metrics) if name not in shown]
    sections = (
        ("curves", "Curves", True, 2, 420),
        ("results", "What matters", True, 3, 260),
        ("rest", "Every statistic", False, 3, 260),
    )
    state = {
        "searchFilter": FILTER,
        "orderByKey": ORDER,
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [f"metrics.`{name}`" for name in COLUMNS] + [f"tags.`{name}`" for name in TAGS],
        "columnOrder": [],
        "columnWidths": {},
        "runsHiddenMode": "FIRST_10_RUNS",
        "compareRunCharts": charts,
        "compareRunSections": [
            {
                "uuid": uuid,
                "name": name,
                "display": display,
                "isReordered": True,
                "deleted": False,
                "isGenerated": False,
                "columns": columns,
                "cardHeight": height,
            }
            for uuid, name, display, columns, height in sections
        ],
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "time", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps({"name": NAME, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"})


def link(experiment: str) -> str:
    """Return the address of the comparison, after the server's own."""
    return (
        f"#/experiments/{experiment}/runs?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey={KEY}"
    )


def _chart(kind: str, metric: str, title: str, section: str) -> dict[str, Any]:
    return {
        "uuid": f"workbench-{metric}",
        "type": kind,
        "runsCountToCompare": 10,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
        "displayName": title,
        "metricKey": metric,
    }
