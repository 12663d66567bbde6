"""Calibration, thresholds and constants, each value with its unit and source, and what Spark needs."""
