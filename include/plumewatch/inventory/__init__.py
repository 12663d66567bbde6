"""Inventories: published lists of sources, brought into one form, and matched with what was detected."""
