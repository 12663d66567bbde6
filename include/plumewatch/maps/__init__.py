"""Maps: what was found on a date or in a month, as one HTML file that needs no network.

May import: anything but simulation and other domains' workers. Start reading: map_file.py, then content.py.
"""
