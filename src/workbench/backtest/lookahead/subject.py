"""Who is examined: a strategy, a feature or any function, with its name, parameters and the digest of its source."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np

from workbench.backtest.lookahead.answer import Answer, read_answer
from workbench.backtest.lookahead.dates import decided_at
from workbench.backtest.lookahead.world import World
from workbench.data.watch import Bound, watched
from workbench.errors import InputRefused
from workbench.features.declared import Undeclared, check_inputs, declared
from workbench.features.protocol import Feature
from workbench.strategies.protocol import Strategy
from workbench.types import Bars

STRATEGY, FEATURE, FUNCTION = "strategy", "feature", "function"
# Fields of a strategy that are no parameters of its idea.
FRAME_OF_STRATEGY = ("symbols", "sizing", "exits")


class Raised(Exception):
    """The subject raised on what it was given; the text is the error's first line."""


@dataclass(frozen=True)
class Subject:
    """A function from data to one row a session, and what is known of it."""

    name: str
    kind: str
    function: Callable[[Any], Any]
    lookback: int | None
    params: Mapping[str, Any]
    source: str

    @property
    def group(self) -> str:
        """What its columns are called."""
        return "weight" if self.kind == STRATEGY else self.name

    def say(self, what: str) -> str:
        """Return the sentence with the name in front, unless it begins with it."""
        return what if what.startswith(self.name) else f"{self.name}: {what}"

    def called(self, name: str) -> Subject:
        """Return the same under another name."""
        return dataclasses.replace(self, name=name)


class Run(Protocol):
    """Runs one subject on worlds: here, or as if it had never run."""

    runs: int
    reads: dict[str, bool]

    def __call__(self, world: World, moments: Mapping[str, datetime] | None = None) -> Answer:
        """Return the answer on this world; an error of the subject itself is ``Raised``."""
        ...


class Runner:
    """Runs a subject on worlds and counts how often."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.runs = 0
        self.reads: dict[str, bool] = {}  # what it read of a lake by itself, and whether always with as_of

    def __call__(self, world: World, moments: Mapping[str, datetime] | None = None) -> Answer:
        """Return the answer on this world; an error of the subject itself is ``Raised``.

        A lake that it reads by itself answers as of the world's last row, or as of the moment of a dataset.
        """
        last = functools.cache(lambda: decided_at(world.index, len(world) - 1))
        found = self.raw(world.thing(), lambda name: (moments or {}).get(name) or last())
        return self.shaped(read_answer(found, world, self.subject.group))

    def raw(self, data: Any, bound: Bound) -> Any:
        """Return what the subject returns for this data, its own reads of a lake held to their bounds."""
        self.runs += 1
        # Data that was made up divides by zero and overflows where real data does not.
        with warnings.catch_warnings(), np.errstate(all="ignore"), watched(bound) as reads:
            warnings.simplefilter("ignore")
            try:
                return self.subject.function(data)
            except Undeclared as error:  # its own words say it all
                raise Raised(str(error)) from error
            except Exception as error:  # whatever a user's code raises
                lines = str(error).strip().splitlines() or [""]
                raise Raised(f"{type(error).__name__}: {lines[0]}") from error
            finally:
                self.reads |= {name: said and self.reads.get(name, True) for name, said in reads.items()}

    def shaped(self, answer: Answer) -> Answer:
        """Return a strategy's answer with no position where it left one out, any other as it is."""
        if self.subject.kind != STRATEGY:
            return answer
        return Answer(answer.labels, np.nan_to_num(answer.values, nan=0.0, posinf=np.inf, neginf=-np.inf), 0.0)


def read_subject(thing: Any, lookback: int | None) -> Subject:
    """Return a strategy, a feature or a function as a subject."""
    if isinstance(thing, Strategy):
        back = thing.lookback if lookback is None else lookback
        return Subject(thing.name, STRATEGY, thing.weights, back, _params(thing), source_of(type(thing)))
    if isinstance(thing, Feature) or (hasattr(thing, "compute") and hasattr(thing, "lookback")):
        back = int(thing.lookback) if lookback is None else lookback
        name = str(getattr(thing, "name", type(thing).__name__.lower()))
        return Subject(name, FEATURE, _as_in_the_engine(thing, name), back, {}, source_of(type(thing)))
    if callable(thing):
        return Subject(_name(thing), FUNCTION, thing, lookback, {}, source_of(thing))
    raise InputRefused(
        f"lookahead: {type(thing).__name__} is no strategy, feature or function; give an object with weights(bars) or "
        "compute(bars), or a function of the bars"
    )


def _as_in_the_engine(feature: Any, name: str) -> Callable[[Any], Any]:
    """Return its compute over bars of which it can read what it declared, and nothing else."""
    if not hasattr(feature, "inputs"):
        return feature.compute  # type: ignore[no-any-return]
    check_inputs(feature.inputs)
    return lambda data: feature.compute(declared(data, name, feature.inputs) if isinstance(data, Bars) else data)


def source_of(thing: Any) -> str:
    """Return the SHA-256 of the source code, the whole module where there is one; empty where none can be read."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    module = inspect.getmodule(thing)
    for what in (module, thing):
        try:
            return hashlib.sha256(inspect.getsource(what).encode()).hexdigest()  # type: ignore[arg-type]
        except (OSError, TypeError):
            continue
    return ""


def _name(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", type(function).__name__)
    return "the function" if name == "<lambda>" else str(name)


def _params(strategy: Any) -> dict[str, Any]:
    if not dataclasses.is_dataclass(strategy):
        return {}
    fields = [field.name for field in dataclasses.fields(strategy) if field.name not in FRAME_OF_STRATEGY]
    plain = (bool, int, float, str, type(None))
    return {name: getattr(strategy, name) for name in fields if isinstance(getattr(strategy, name), plain)}
