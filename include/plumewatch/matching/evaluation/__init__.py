"""How well detections are matched: made-up worlds of detections on real plants, what the rule says of them, and how
well anybody could do who knew all of how they were made.

Builds on: the floor, inventory, oco2, matching. Start reading: worlds.py, then __main__.py.
"""
