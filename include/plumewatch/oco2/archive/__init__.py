"""Lite files in NASA's archive and in folders: which there are, which is the newest, how they are downloaded.

Builds on: the floor, storage, http. Start reading: listing.py, then cmr.py.
"""
