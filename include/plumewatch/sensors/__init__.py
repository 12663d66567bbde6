"""What is known of a sensor whose images are stacked: bands, masks, names, and how its items say them.

Builds on: the floor. Start reading: sensor.py, then landsat.py; known.py lists them.
"""
