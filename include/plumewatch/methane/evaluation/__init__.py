"""How good the detector is, on planted truth: recall, false plumes, ranking, rates, calibration (`make evaluate`).

Builds on: the floor, wind, methane. Start reading: __main__.py.
"""
