"""Settings from YAML, environment and ``--set``, validated as one frozen tree.

Later layers win: ``params/base.yaml``, ``WORKBENCH_COSTS__SCHEDULE=ib_tiered``, ``--set costs.schedule=ib_tiered``.
An unknown key, a wrong type or a value out of bounds stops at once and names the layer it came from::

    params/base.yaml: unknown key 'costs.spred_bps'. Did you mean 'spread_bps'?
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import reduce
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from workbench.clock import read_clock
from workbench.errors import ParamsRefused, did_you_mean
from workbench.paths import Paths as Paths
from workbench.paths import find_root as find_root
from workbench.sizing_params import STRICT
from workbench.sizing_params import SizingParams as SizingParams
from workbench.strict_yaml import mistaken as mistaken
from workbench.strict_yaml import not_a_word, write_date
from workbench.strict_yaml import read_value as read_value
from workbench.strict_yaml import read_yaml as read_yaml

ENV_PREFIX = "WORKBENCH_"
_Model = TypeVar("_Model", bound=BaseModel)
Layer = tuple[str, Mapping[str, Any]]
# Variables with the prefix that are not settings.
ENV_OTHER = {"WORKBENCH_ROOT", "WORKBENCH_KEYS"}


class Section(BaseModel):
    """A frozen group of settings that refuses unknown keys."""

    model_config = STRICT


class SampleParams(Section):
    """The embedded sample market: its size, its seed and the effects planted in it."""

    seed: int = Field(7, ge=0)
    years: int = Field(15, ge=2, le=60)
    end: date = date(2024, 12, 31)
    symbols_per_sector: int = Field(10, ge=2, le=200)
    intraday_sessions: int = Field(60, ge=0, le=250)
    momentum: float = Field(1.0, ge=0.0, le=5.0)
    reversion: float = Field(1.0, ge=0.0, le=5.0)
    events: float = Field(1.0, ge=0.0, le=5.0)


class DataParams(Section):
    """Which rows of the lake a run reads, and as of when."""

    benchmark: str = "MKT00"
    start: date | None = None
    end: date | None = None
    as_of: datetime | None = None
    max_age_sessions: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> DataParams:
        if self.start and self.end and self.start > self.end:
            raise ValueError(f"start {self.start} is after end {self.end}; swap them")
        if self.as_of is not None and self.as_of.tzinfo is None:
            raise ValueError(f"as_of {self.as_of} has no time zone; write 2024-12-31T22:00:00Z")
        return self


class WalkForwardParams(Section):
    """The one splitter's settings, all counted in sessions."""

    mode: Literal["rolling", "anchored"] = "rolling"
    warm_up_sessions: int = Field(378, ge=0)
    train_sessions: int = Field(756, ge=20)
    test_sessions: int = Field(252, ge=5)
    purge_sessions: int = Field(1, ge=0)
    embargo_sessions: int = Field(5, ge=0)
    select_by: Literal["sharpe", "sortino", "calmar"] = "sharpe"


class PortfolioParams(Section):
    """How weights are traded in the simulation."""

    cash: float = Field(1_000_000.0, gt=0.0)
    lag_bars: int = Field(1, ge=0, le=20)
    fill: Literal["open", "close"] = "open"
    rebalance: Literal["on_change", "every_bar"] = "on_change"
    whole_shares: bool = True

    @model_validator(mode="after")
    def _no_peeking(self) -> PortfolioParams:
        if self.lag_bars == 0 and self.fill == "open":
            raise ValueError("lag_bars 0 with fill 'open' trades before the close it decided on; use lag_bars 1")
        return self


class CostParams(Section):
    """What trading costs: commission schedule, spread, market impact and borrow."""

    schedule: Literal["ib_fixed", "ib_tiered", "proportional", "none"] = "ib_fixed"
    proportional_bps: float = Field(5.0, ge=0.0, le=1000.0)
    spread_bps: float = Field(2.0, ge=0.0, le=1000.0)
    impact: float = Field(0.1, ge=0.0, le=10.0)
    max_participation: float = Field(0.1, gt=0.0, le=1.0)
    borrow_bps_per_year: float = Field(50.0, ge=0.0, le=100_000.0)


class TrackingParams(Section):
    """Where runs are recorded; empty means the SQLite file under mlruns/."""

    uri: str = ""
    experiment: str = "backtest"


class StateParams(Section):
    """Where promotions are recorded; empty means the SQLite file in data/state/."""

    url: str = ""


class SearchParams(Section):
    """How a grid is searched."""

    workers: int | None = Field(None, ge=1, le=1024)
    confirm_cells: int = Field(20_000, ge=1)
    best: int = Field(5, ge=0, le=50)
    kept_returns: int = Field(300, ge=2, le=2000)
    trials_at_once: int = Field(8, ge=1, le=1000)


class LiveParams(Section):
    """How the broker is reached, for how long each answer is waited for, and when and with how much is traded.

    ``shares`` are parts of the equity by strategy; empty: all the same. ``capital_step`` is the step of capital, from
    1 on, that a strategy in staged live has reached. ``stages`` are those that this account trades; empty: all that an
    account of its kind may.
    """

    mode: Literal["embedded", "paper", "live"] = "embedded"
    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(4002, ge=1, le=65_535)
    client_id: int = Field(17, ge=1, le=2_000_000)
    kill_client_id: int = Field(18, ge=1, le=2_000_000)
    desk_client_id: int = Field(19, ge=1, le=2_000_000)
    account: str = ""
    approvers: str = ""  # a list of its own, in place of params/approvers.yaml
    market_data: Literal["live", "delayed"] = "live"
    connect_seconds: float = Field(60.0, gt=0.0, le=3600.0)
    answer_seconds: float = Field(10.0, gt=0.0, le=60.0)
    order_seconds: float = Field(5.0, gt=0.0, le=60.0)
    quote_seconds: float = Field(3.0, gt=0.0, le=30.0)
    history_seconds: float = Field(60.0, gt=0.0, le=600.0)
    heartbeat_seconds: float = Field(3.0, gt=0.0, le=4.0)
    heartbeat_answer_seconds: float = Field(5.0, gt=0.0, le=5.0)  # both together: a dead link is dropped within 10 s
    shares: dict[str, float] = {}
    capital_step: dict[str, int] = {}
    stages: tuple[Literal["paper", "staged_live", "production"], ...] = ()
    decide_minutes: float = Field(1.0, ge=-30.0, le=390.0)  # after the open
    every_minutes: float | None = Field(None, ge=5.0, le=390.0)  # again and again; None: once a session
    close_minutes: float = Field(5.0, ge=0.0, le=120.0)  # after the close: the books are closed
    patience_seconds: float = Field(30.0, ge=0.0, le=600.0)  # that purchases wait for the fills of sales

    @model_validator(mode="after")
    def _parts_of_one(self) -> LiveParams:
        for name, share in self.shares.items():
            if not 0.0 < share <= 1.0:
                raise ValueError(f"shares.{name} {share}: a share of the equity is above 0 and at most 1")
        for name, step in self.capital_step.items():
            if step < 1:
                raise ValueError(f"capital_step.{name} {step}: steps are counted from 1")
        return self

    @model_validator(mode="after")
    def _two_keys(self) -> LiveParams:
        if self.mode == "live" and (not self.account or self.account.startswith("DU")):
            raise ValueError(f"mode live with account '{self.account}'; real money needs the very id of a real account")
        if self.mode == "paper" and self.account and not self.account.startswith("DU"):
            raise ValueError(f"mode paper with account '{self.account}'; paper accounts begin with DU")
        if self.client_id == self.kill_client_id:
            raise ValueError(f"client_id and kill_client_id are both {self.client_id}; the stop needs one of its own")
        if self.desk_client_id in (self.client_id, self.kill_client_id):
            raise ValueError(
                f"desk_client_id {self.desk_client_id} is the runner's or the stop's; who looks beside needs another"
            )
        return self


class Settings(BaseSettings):
    """Every setting of one run, frozen; build it with ``load_settings``."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    market: Literal["sample", "real"] = "sample"
    strategies: tuple[str, ...] = ()
    sample: SampleParams = SampleParams()
    data: DataParams = DataParams()
    walk_forward: WalkForwardParams = WalkForwardParams()
    sizing: SizingParams = SizingParams()
    portfolio: PortfolioParams = PortfolioParams()
    costs: CostParams = CostParams()
    tracking: TrackingParams = TrackingParams()
    state: StateParams = StateParams()
    search: SearchParams = SearchParams()
    live: LiveParams = LiveParams()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing behind the caller's back: ``load_settings`` passes every layer in."""
        return (init_settings,)

    def digest(self, sections: Iterable[str] | None = None) -> str:
        """Return a digest of the named sections, or of all of them."""
        return digest(self.model_dump(mode="json", include=None if sections is None else set(sections)))


class Universe(Section):
    """Which symbols a strategy may hold: a list of symbols, whole sectors, or everything but the benchmark."""

    symbols: tuple[str, ...] = ()
    sectors: tuple[str, ...] = ()


class StrategyParams(Section):
    """One file in params/strategies/: the question asked, the universe, the parameters and the grid to search."""

    question: str = Field(min_length=10)
    universe: Universe = Universe()
    params: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    sizing: dict[str, Any] = {}

    @model_validator(mode="after")
    def _grid_is_filled(self) -> StrategyParams:
        for name, values in self.grid.items():
            if not values:
                raise ValueError(f"grid.{name} is empty; give at least one value")
        return self


def lake_root(settings: Settings, paths: Paths) -> Path:
    """Return where a market's tables lie; a sample market of other parameters has a lake of its own.

    So an effect can be switched off for one run, and no row of one market ever stands beside another's.
    """
    if settings.market != "sample" or settings.sample == SampleParams():
        return paths.lake
    return paths.data / "samples" / settings.digest(["sample"])[:8] / "lake"


def load_settings(paths: Paths | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Return the settings of params/base.yaml, the environment and ``a.b=c`` overrides, in that order."""
    paths = paths or Paths()
    base = paths.params / "base.yaml"
    layers = [(paths.short(base), read_yaml(base, paths)), ("environment", _environment())]
    layers += [(f"--set {text}", _override(text)) for text in overrides]
    return _as_known(_validated(Settings, layers), paths)


def _as_known(settings: Settings, paths: Paths) -> Settings:
    """Return the settings of a project on simulated time: what becomes known after that time is not read."""
    clock = read_clock(settings.market, paths)
    if not clock.simulated:
        return settings
    now, asked = clock.now(), settings.data.as_of
    if asked is not None and asked > now:
        raise ParamsRefused(
            f"data.as_of {asked:%Y-%m-%dT%H:%M:%SZ} is after the simulated time, {now:%Y-%m-%dT%H:%M:%SZ}"
        )
    return settings.model_copy(update={"data": settings.data.model_copy(update={"as_of": asked or now})})


def load_strategy_params(name: str, paths: Paths | None = None) -> StrategyParams:
    """Return params/strategies/<name>.yaml, validated."""
    paths = paths or Paths()
    if not re.fullmatch(r"\w+", name):
        raise ParamsRefused(
            f"strategy '{name}': a name has letters, digits and '_' only, as its file in params/strategies/ has; "
            f"there are {', '.join(strategy_names(paths))}"
        )
    file = paths.params / "strategies" / f"{name}.yaml"
    if not file.is_file():
        raise ParamsRefused(
            f"no {paths.short(file)} for strategy '{name}'.{did_you_mean(name, strategy_names(paths))} "
            f"Or make it: make new-strategy NAME={name}"
        )
    content = read_yaml(file, paths)
    universe = content.get("universe")
    for key, value in universe.items() if isinstance(universe, dict) else ():
        if value == []:
            raise ParamsRefused(
                f"{paths.short(file)}: universe.{key} is empty; name at least one, or write 'universe: {{}}' for "
                "everything but the benchmark"
            )
    return _validated(StrategyParams, [(paths.short(file), content)])


def read_sizing(base: SizingParams, changes: Mapping[str, Any], strategy: str) -> SizingParams:
    """Return the base sizing with a strategy's own changes."""
    return _validated(
        SizingParams, [("params/base.yaml", base.model_dump()), (f"params/strategies/{strategy}.yaml", changes)]
    )


def read_section(model: type[_Model], content: Mapping[str, Any], origin: str) -> _Model:
    """Return a group of settings that lies in a file of its own; errors name the file."""
    return _validated(model, [(origin, content)])


def strategy_names(paths: Paths | None = None) -> list[str]:
    """Return the names of all strategies that have a parameter file."""
    paths = paths or Paths()
    return sorted(file.stem for file in (paths.params / "strategies").glob("*.yaml"))


def settings_from(file: Path) -> Settings:
    """Return settings frozen earlier with ``freeze_settings``."""
    return _validated(Settings, [(file.name, json.loads(file.read_text()))])


def freeze_settings(settings: Settings, file: Path) -> None:
    """Write the resolved settings, so that every step of a run reads the same ones."""
    file.write_text(settings.model_dump_json(indent=1))


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON-able value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _environment() -> dict[str, Any]:
    known = {f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields}
    for variable in os.environ:
        ours = variable.startswith(ENV_PREFIX) and variable not in ENV_OTHER
        name, *inside = variable.upper().split("__")
        if ours and name not in known:
            raise ParamsRefused(f"environment: unknown setting {variable}.{did_you_mean(variable, known)}")
        if ours and inside and not _keys(Settings, [name.removeprefix(ENV_PREFIX).lower()]):
            raise ParamsRefused(f"environment: unknown setting {variable}; it has no parts, write {name}=...")
    try:
        return EnvSettingsSource(Settings)()
    except SettingsError as error:
        cause = str(error.__cause__ or error)
        raise ParamsRefused(f"environment: {error}: {cause}; lists and sections are written as JSON") from error


def _override(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ParamsRefused(f"--set {text}: write it as section.key=value, for example costs.schedule=ib_tiered")
    leaf = read_value(value, f"--set {text}")
    for part in reversed(key.strip().split(".")):
        leaf = {part: leaf}
    return dict(leaf)


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _validated(model: type[_Model], layers: Sequence[Layer]) -> _Model:
    merged: dict[str, Any] = reduce(_merge, (content for _, content in layers), {})
    try:
        made = model(**merged)
    except ValidationError as error:
        raise ParamsRefused(_explain(model, layers, error)) from error
    for at, wrong in mistaken(merged, made):
        raise ParamsRefused(f"{_origin(layers, at)}: {'.'.join(at)} {wrong}")
    return made


def _explain(model: type[BaseModel], layers: Sequence[Layer], error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = [part for part in first["loc"] if isinstance(part, str)]
    path = ".".join(str(part) for part in first["loc"])
    origin = _origin(layers, where)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _keys(model, where[:-1])
        return f"{origin}: unknown key '{path}'.{did_you_mean(where[-1], known)}{more}"
    if first["type"] == "missing":
        return f"{origin}: '{path}' is missing{more}"
    if first["type"] in ("tuple_type", "list_type") and isinstance(first["input"], (str, int, float)):
        return f"{origin}: {path} is {first['input']!r}; write a list, also for one: {path}=[{first['input']}]{more}"
    if first["type"] in ("tuple_type", "list_type") and isinstance(first["input"], Mapping):
        inside = ", ".join(str(key) for key in first["input"])
        own = "; a strategy's settings are in its own file, params/strategies/NAME.yaml" if path == "strategies" else ""
        return f"{origin}: {path} is a list, it has no '{inside}'{own}{more}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"].startswith("date"):
        message = write_date(first["type"].startswith("datetime_"))
    elif isinstance(first["input"], bool):
        message = not_a_word(message, first["type"], origin, type(None) in get_args(_declared(model, where)))
    value = "" if isinstance(first["input"], Mapping) else f" is {first['input']!r}"
    return f"{origin}: {path or 'settings'}{value}: {message}{more}"


def _origin(layers: Sequence[Layer], where: Sequence[str]) -> str:
    """Return the layer that a value comes from; an element of a list comes with its list."""
    within = (where[:end] for end in range(len(where), 0, -1))
    named = (name for part in within for name, content in reversed(layers) if _has(content, part))
    return next(named, layers[0][0])


def _has(content: Any, where: Sequence[str]) -> bool:
    return not where or (isinstance(content, Mapping) and where[0] in content and _has(content[where[0]], where[1:]))


def _declared(model: Any, where: Sequence[str]) -> Any:
    for part in where:
        model = model.model_fields[part].annotation if hasattr(model, "model_fields") else None
    return model


def _keys(model: type[BaseModel], where: Sequence[str]) -> list[str]:
    return list(getattr(_declared(model, where), "model_fields", ()))
