"""Scenes of Sentinel-2, and of Landsat by the same way: searched, stacked, screened for cloud, and turned into pixels.

Builds on: the floor, storage, settings, http, failures, missing_settings, observations, areas, rasters, catalogues,
wind. Start reading: day_search.py and ingest.py, in the order of the daily DAG.
"""
