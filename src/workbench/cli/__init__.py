"""The commands behind the Makefile, one file per group; ``app`` puts them together."""

from workbench.cli.app import app, main

__all__ = ["app", "main"]
