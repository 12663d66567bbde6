"""What a person sees of a plume and of a scene: pictures, facts as JSON, the enhancement as COG, pages.

May import: the flat files of methane, pages, storage. Start reading: files.py.
"""
