"""The chart of how DAGs hand on to each other, `docs/hand_off.svg`, drawn from the code: `python -m tools.chart`."""
