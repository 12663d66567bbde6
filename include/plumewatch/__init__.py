"""Plumewatch: methane plumes and CO2 peaks seen from space, their rates, and the sources behind them."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("plumewatch")
except PackageNotFoundError:  # include/ on PYTHONPATH instead of an installed package
    __version__ = "0+uninstalled"
