"""The sweep kernel: parameters × windows × symbols in one pass, no portfolio in memory (docs/sweep-kernel.md)."""
