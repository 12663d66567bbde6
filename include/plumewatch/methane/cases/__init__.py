"""Published cases: their list, their scenes, and our results beside the published ones.

Builds on: the floor, storage, settings, http, failures, observations, catalogues, sentinel2, wind, pages, methane.
Start reading: validation.py.
"""
