"""Statistics of bands and indices over zones, polygons of a file or hexagons, and composites of a month.

Builds on: the floor, storage, settings, area_files, areas, rasters, catalogues, sentinel2. Start reading: months.py,
which a worker runs; statistics.py is the arithmetic. hub_month.py has Sentinel Hub count instead.
"""
