"""`make faults`: the demonstration is struck while it works, and nothing is lost in silence.

`strikes.py` says what may be done to it: processes killed, S3 out of order, its disk full, the same work begun twice.
`spoiled_s3.py` stands between all S3 clients and the server, `reading.py` reads every table all the while, `rounds.py`
compares what comes out with what an undisturbed run gave, and `mapped_tasks.py` kills each try of one scene.
"""
