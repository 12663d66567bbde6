"""Learning: what inventories teach of peaks: how much a peak's source emits, and where along an orbit a peak is.

Builds on: the floor, storage, reviews, inventory, oco2, oco2.granules, oco2.evaluation. Start reading: training.py,
window_training.py.
"""
