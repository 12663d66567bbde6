"""Inventories: published lists of sources, each read by a module of its own, brought into one form and combined.

Builds on: the floor, storage. Start reading: refresh.py; a new inventory is a module like gppd.py and an entry there.
"""
