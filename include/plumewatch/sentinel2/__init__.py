"""Sentinel-2: scenes searched, stacked on the area's grid, screened for cloud, and turned into the pixel table.

May import: the floor, storage, catalogues, rasters, wind. Start reading: ingest.py, in the order of the daily DAG.
"""
