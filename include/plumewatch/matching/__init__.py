"""Matching: which source a detection comes from, by the wind, its rate and width, and the inventories.

Flat files are pure. Builds on: the floor, wind, inventory. Start reading: match.py, then periods/worker.py.
"""
