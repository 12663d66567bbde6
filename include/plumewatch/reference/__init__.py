"""Calibration, thresholds and constants as files, each value with its unit and source, and what Spark needs.

May import: errors. Start reading: methane_detection.yaml, oco2_peaks.yaml; loading.py reads them.
"""
