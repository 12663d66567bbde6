"""How good the peak finder is, on planted truth in real and simulated noise (`make evaluate`).

Builds on: the floor, wind, oco2. Start reading: __main__.py.
"""
