"""Dates of an area, from the pixel table to plumes: the work list, what a worker does, what it writes.

Builds on: the floor, storage, failures, wind, methane, methane.blocks, methane.details. Start reading: worker.py.
"""
