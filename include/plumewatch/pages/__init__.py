"""What every HTML page shares: how it is put together so that it needs no network, its head, and its wording.

Builds on: the floor. Start reading: page.py.
"""
