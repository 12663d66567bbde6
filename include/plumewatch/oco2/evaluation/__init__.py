"""How good the peak finder is, on planted truth in real and simulated noise (`make evaluate`).

May import: the flat files of oco2. Start reading: __main__.py.
"""
