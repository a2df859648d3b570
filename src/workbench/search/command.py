"""``workbench sweep``: from what was typed to a finished, recorded search."""

from __future__ import annotations

import json
from collections.abc import Callable

from workbench.data.inventory import pins
from workbench.data.lake import open_lake
from workbench.params import Paths, Settings, load_strategy_params
from workbench.registry.counting import made_by
from workbench.search.bar import watched_bar
from workbench.search.found import Found
from workbench.search.report import Left, report
from workbench.search.run import Asked
from workbench.search.sweep import Request, sweep
from workbench.search.work import Confirm


def search(
    request: Request,
    settings: Settings,
    paths: Paths,
    *,
    fresh: bool = False,
    resume: tuple[str, Asked] | None = None,
    confirm: Confirm,
    say: Callable[[str], None],
) -> tuple[Found, Left]:
    """Search on the lake's bars, and leave page, pictures and a run in MLflow."""
    params = load_strategy_params(request.strategy, paths)
    lake, data = open_lake(settings, paths), settings.data
    versions = lake.versions()
    bars = lake.bars(start=data.start, end=data.end, as_of=data.as_of, versions=versions)
    found = sweep(
        request,
        params,
        bars,
        settings,
        paths,
        made_by=made_by(settings, params, pins(lake, versions)),
        fresh=fresh,
        resume=resume,
        confirm=confirm,
        bar=watched_bar(),
        say=say,
    )
    return found, report(found, settings, paths)


def asked_again(asked: Asked) -> Request:
    """Return the request that an earlier run came from."""
    grid = tuple(f"{name}={json.dumps(values)}" for name, values in asked.grid.items())
    return Request(
        asked.strategy, grid, asked.trials or None, asked.sampler or "tpe", asked.seed if asked.trials else None
    )
