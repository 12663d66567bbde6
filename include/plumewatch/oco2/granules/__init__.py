"""Granules: listed, checked and staged, read, and turned into the table `soundings`.

Builds on: the floor, storage, settings, failures, missing_settings, observations, oco2, oco2.archive. Start reading:
staging.py, in the order of the monthly DAG.
"""
