"""Matching: which source a detection comes from, by the wind and the inventories.

All of it is pure. May import: the floor, wind.at_point. Start reading: match.py; spark_jobs/match_sources.py runs it.
"""
