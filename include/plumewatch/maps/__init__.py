"""Maps: what was found on a date or in a month, as one HTML file that needs no network; the same map of all keys, as
Airflow's UI shows it and as a static site; the report of a month, and what the operations page shows.

Builds on: the floor, storage, settings, http, hand_offs, observations, reviews, area_files, areas, rasters, catalogues,
pages, sentinel2, methane.details, oco2, matching, evidence. Start reading: map_file.py, then content.py.
"""
