"""Evidence: what all passes together say of a source, and of places where detections recur that no inventory explains.

Builds on: the floor, storage, http, observations, reviews, pages, learning. Start reading: update.py, posterior.py.
"""
