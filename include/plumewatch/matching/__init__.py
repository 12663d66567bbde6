"""Matching: which source a detection comes from, by the wind and the inventories.

All of it is pure. Builds on: the floor, wind. Start reading: match.py; spark_jobs/match_sources.py runs it.
"""
