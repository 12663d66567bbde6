"""A pass too large to be searched at once: by windows that overlap, so that where they end changes nothing.

What a search takes of the whole scene is found in a sample of it (sample.py) and told to all windows. Builds on: the
floor, methane. Start reading: windows.py, then window_search.py; merging.py makes one list of what they found.
"""
