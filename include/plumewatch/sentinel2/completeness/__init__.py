"""What is missing of the areas' days: what the catalogues have and the storage hasn't, and what came late.

Builds on: the floor, storage, settings, http, failures, observations, areas, rasters, catalogues, wind, sentinel2.
Start reading: gap_report.py; gaps.py tells one scene's reason.
"""
