"""Catalogues: services that know which scenes there are, one module a service, asked patiently.

May import: the floor, storage, http. Start reading: stac.py.
"""
