"""Rasters, whatever the sensor: read from anywhere, laid on a grid, written as COGs, kept as scenes.

Builds on: the floor, storage, public_hosts, http. Start reading: scene_store.py, then reading.py.
"""
