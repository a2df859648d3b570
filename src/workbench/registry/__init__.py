"""What is remembered of runs, and what may move forward."""
