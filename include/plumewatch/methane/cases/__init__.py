"""Published cases: their list, their scenes, and our results beside the published ones.

May import: anything of methane but evaluation, sentinel2, wind. Start reading: validation.py.
"""
