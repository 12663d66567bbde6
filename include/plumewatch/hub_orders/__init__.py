"""What Sentinel Hub makes in its own time and delivers to the storage's bucket, and our COGs as a collection there.

Builds on: the floor, storage, settings, http, areas, catalogues, rasters, sentinel2. Start reading: orders.py, which
asks once and finds again; images.py are the two APIs that deliver rasters, byoc.py is the registration of COGs. The
batch of statistics is zones/hub_batch.py.
"""
