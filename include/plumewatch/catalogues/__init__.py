"""Catalogues: services that know which scenes there are, one module a service, asked patiently.

Builds on: the floor, storage, http. Start reading: stac.py.
"""
