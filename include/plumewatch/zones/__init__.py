"""Statistics of bands and indices over zones: polygons of a file, or hexagons.

Builds on: storage, rasters, sentinel2. Start reading: months.py, which a worker runs; statistics.py is the arithmetic.
"""
