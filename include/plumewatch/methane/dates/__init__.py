"""Dates of an area, from the pixel table to plumes: the work list, what a worker does, what it writes.

May import: anything of methane but cases and evaluation, storage, wind, failures. Start reading: worker.py.
"""
