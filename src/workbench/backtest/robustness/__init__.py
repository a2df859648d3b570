"""What is left of a walk-forward when one thing about it is different: ``stress`` asks, ``card`` says."""
