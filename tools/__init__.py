"""The commands behind the Makefile; run from the checkout as `.venv/bin/python -m tools.NAME`."""
