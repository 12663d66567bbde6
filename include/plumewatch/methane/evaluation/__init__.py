"""How good the detector is, on planted truth: recall, false plumes, ranking, rates, calibration (`make evaluate`).

May import: anything of methane. Start reading: __main__.py.
"""
