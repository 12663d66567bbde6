"""Wind: products and files brought into the storage, and interpolated to a point, a height and a time.

Builds on: the floor, storage, settings, http. Start reading: providers.py (to get it), at_point.py (to use it; pure).
"""
