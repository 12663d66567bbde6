"""Orbits of the table `soundings`, read and searched for peaks by workers, and the wind that peaks need.

Builds on: the floor, storage, settings, failures, wind, oco2, oco2.granules. Start reading: worker.py.
"""
