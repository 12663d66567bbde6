"""The stored data at a prompt: what there is, how much of it and how new, and how to bring files in and out.

Builds on: the floor, storage, http, sentinel2. Start reading: listing.py. The command is `python -m plumewatch`.
"""
