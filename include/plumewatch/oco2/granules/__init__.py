"""Granules: listed, checked and staged, read, and turned into the table `soundings`.

May import: oco2.archive, storage, failures. Start reading: staging.py, in the order of the monthly DAG.
"""
