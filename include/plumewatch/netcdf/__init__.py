"""What a variable says of its own values by the CF Conventions 1.11: packing, fill, valid range, unit of time; that
they lie in its own file.

Builds on: the floor. Pure. Start reading: packing.py. Granules and wind products read it the same way.
"""
