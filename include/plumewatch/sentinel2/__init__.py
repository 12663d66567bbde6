"""Sentinel-2: scenes found in a STAC catalogue, stacked on the area's grid, and turned into the pixel table."""
