"""Orbits of the table `soundings`, read and searched for peaks by workers, and the wind that peaks need.

May import: the flat files of oco2, storage, wind, failures. Start reading: worker.py.
"""
