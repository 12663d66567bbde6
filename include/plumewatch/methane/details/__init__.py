"""What a person sees of a plume and of a scene: pictures, facts as JSON, the enhancement as COG, pages.

Builds on: the floor, storage, observations, rasters, pages, methane. Start reading: files.py.
"""
