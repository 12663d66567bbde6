"""Catalogues: services that know which scenes there are, one module a service, asked patiently.

Builds on: the floor, storage, settings, public_hosts, http, missing_settings, rasters. Start reading: catalogue.py,
what all of them can; services.py, which of them an area has.
"""
