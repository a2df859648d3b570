"""Rules asked of rows: Great Expectations runs one suite a dataset and says which rows break which rule."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any

import pandas as pd
import polars as pl

from workbench.data.datasets import Dataset
from workbench.data.rules import Rule


@dataclass(frozen=True)
class Outcome:
    """What Great Expectations found: the positions of the rows that break the rule."""

    rule: Rule
    broken: tuple[int, ...]


def examine(contract: Dataset, asked: tuple[Rule, ...], rows: pl.DataFrame) -> list[Outcome]:
    """Run the dataset's suite over the rows, with their evidence, and return one outcome a rule and column."""
    frame = _frame(asked, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # imports modules that Python 3.11 deprecates
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        import great_expectations as gx  # five seconds: only where data is validated

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("staged").add_dataframe_asset(contract.name)
        batch = asset.add_batch_definition_whole_dataframe("batch").get_batch({"dataframe": frame})
        suite = gx.ExpectationSuite(contract.name)
        for number, rule in enumerate(asked):
            expectation = getattr(gx.expectations, rule.expectation)
            suite.add_expectation(expectation(**rule.asked, meta={"number": number, "rule": rule.name}))
        found = batch.validate(suite, result_format={"result_format": "COMPLETE", "include_unexpected_rows": False})
    outcomes = {}
    for result in found.results:
        number = result.expectation_config.meta["number"]
        if "unexpected_index_list" not in result.result:
            raise RuntimeError(f"{contract.name}: rule {asked[number].name} could not run: {result.exception_info}")
        outcomes[number] = Outcome(asked[number], tuple(result.result["unexpected_index_list"] or ()))
    return [outcomes[number] for number in range(len(asked))]


def _frame(asked: tuple[Rule, ...], rows: pl.DataFrame) -> pd.DataFrame:
    """Return the columns that the rules look at, as numbers: texts as codes, unless a rule lists the texts allowed."""
    columns = dict.fromkeys(column for rule in asked for column in rule.columns)
    listed = {column for rule in asked if "value_set" in rule.asked for column in rule.columns}
    frame: dict[str, Any] = {}
    for name in columns:
        values = rows[name]
        if name in listed:
            frame[name] = values.to_pandas()
            continue
        if values.dtype == pl.String:
            values = values.cast(pl.Categorical)
        frame[name] = values.to_physical().cast(pl.Float64).fill_nan(None).to_numpy()
    return pd.DataFrame(frame)
