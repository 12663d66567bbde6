"""Statistics of bands and indices over zones, polygons of a file or hexagons, and composites of a month.

Builds on: the floor, storage, settings, failures, area_files, areas, rasters, catalogues, sentinel2, hub_orders. Start
reading: months.py, which a worker runs; statistics.py is the arithmetic. hub_month.py and hub_batch.py have
Sentinel Hub count instead.
"""
