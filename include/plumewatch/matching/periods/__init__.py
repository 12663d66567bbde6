"""The detections of a key, matched in the workers of the job: slices of them in, one file of `matches` out.

Builds on: the floor, storage, failures, reviews, wind, oco2, oco2.granules, matching. Start reading: worker.py;
spark_jobs/match_sources.py runs it.
"""
