"""``python -m workbench.cli``: the program ``workbench``, by another interpreter."""

from workbench.cli import main

main()
