"""What several sensors show of an area before and after an event, on one grid: the folder `sensor_scenes`.

Builds on: the floor, storage, settings, public_hosts, http, areas, rasters, catalogues, sentinel2, methane.details.
Start reading: event.py, then search.py and fetch.py.
"""
