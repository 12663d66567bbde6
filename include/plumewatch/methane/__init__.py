"""Methane from pairs of SWIR bands: from reflectance to column enhancement, plumes, and their emission rates.

The flat files are pure science (no storage, network, clock); dates/, cases/ and details/ read and write. Builds on: the
floor, wind. Start reading: pass_search.py, then detection.py; verdicts.py accepts or refuses.
"""
