"""What readers of lists share: rows of CSV and GeoJSON, which of them count, units, the numbers that judge them.

Builds on: the floor, storage. Start reading: csv_rows.py.
"""
