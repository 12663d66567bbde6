"""What a variable says of its own values, by the CF Conventions 1.11: the time that its numbers count.

Builds on: the floor. Pure. Start reading: time_units.py. Granules and wind products read it the same way.
"""
