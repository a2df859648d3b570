"""The lines that a person types about a name of any kind: what a refusal says to do can be typed as it stands there."""

from __future__ import annotations

_STRATEGY = "strategy"


def typed(verb: str, kind: str, name: str, version: int = 0) -> str:
    """Return a command about a name; where a version is meant, it is named.

    >>> typed("demote", "risk", "default", 2)
    'workbench demote default --version 2 --kind risk'
    """
    numbered = f" --version {version}" if version else ""
    return f"workbench {verb} {name}{numbered}{f' --kind {kind}' if kind != _STRATEGY else ''}"


def promote_line(kind: str, name: str, version: int = 0) -> str:
    """Return what takes the next step of a version.

    >>> promote_line("strategy", "xs_momentum", 1)
    'make promote STRATEGY=xs_momentum ARGS="--version 1"'
    """
    if kind != _STRATEGY:
        return typed("promote", kind, name, version)
    return f"make promote STRATEGY={name}" + (f' ARGS="--version {version}"' if version else "")


def evidence_line(kind: str, name: str) -> str:
    """Return what makes the evidence of a name anew.

    >>> evidence_line("risk", "default")
    'workbench pack make default --kind risk --file FILE --reason "…"'
    """
    if kind != _STRATEGY:
        return f'{typed("pack make", kind, name)} --file FILE --reason "…"'
    return f"make evidence STRATEGY={name}"
