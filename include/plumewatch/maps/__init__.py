"""Maps: what was found on a date or in a month, as one HTML file that needs no network.

Builds on: the floor, storage, hand_offs, reviews, pages, methane.details, matching, evidence. Start reading:
map_file.py, then content.py.
"""
