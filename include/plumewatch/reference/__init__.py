"""Calibration, thresholds and constants as files, each value with its unit and source, and what Spark needs.

Builds on: the floor. Start reading: loading.py, methane_detection.yaml, oco2_peaks.yaml.
"""
