"""Sentinel-2: scenes searched, stacked on the area's grid, screened for cloud, and turned into the pixel table.

Builds on: the floor, storage, settings, http, failures, missing_settings, observations, areas, rasters, catalogues,
wind. Start reading: day_search.py and ingest.py, in the order of the daily DAG.
"""
