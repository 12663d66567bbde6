"""OCO-2: soundings along an orbit to peaks, and peaks to CO2 emissions.

The flat files are pure science (no storage, network, clock); archive/, granules/ and orbits/ read and write. Builds on:
the floor, wind, pages. Start reading: detection.py, then peaks.py, which accepts or refuses.
"""
