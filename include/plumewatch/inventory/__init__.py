"""Inventories: published lists of sources, each read by a module of its own, brought into one form and combined.

Builds on: the floor, storage, rasters, inventory.rows. Start reading: refresh.py; a new inventory is a module like
eu_ets.py with its INVENTORY, and an entry in INVENTORIES there. Lists of published plumes are read the same way.
"""
