"""EMR Serverless as moto serves it, with jobs that leave an answer: `python tests/emr_service.py PORT`.

moto runs nothing: a job run is over when it was started. Here it leaves in its `--answer-path` what a job would, by the
month that it was asked for; that of `DIES` leaves none, and has failed.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from typing import Any

from moto.emrserverless import models
from moto.server import main
from plumewatch import storage

DIES, REFUSES, SOME_BAD = "2016-01", "2016-02", "2016-03"
ANSWERS = {REFUSES: (1, "no such table"), SOME_BAD: (3, '{"rows_read": 5, "rows_written": 4, "failed": 1}')}
GOOD = (0, '{"rows_read": 5, "rows_written": 5, "failed": 0}')


def leave_answer(run: models.JobRun) -> None:
    """Do what the job would do at its end."""
    arguments = dict(pairwise(run.job_driver["sparkSubmit"]["entryPointArguments"]))
    if (month := arguments["--month"]) == DIES:
        run.state, run.state_details = "FAILED", "Job failed: out of memory"
    else:
        code, line = ANSWERS.get(month, GOOD)
        answer = json.dumps({"code": code, "last_line": line}).encode()
        storage.write_bytes(arguments["--answer-path"], answer)


def serve(port: str) -> None:
    make = models.JobRun.__init__

    def make_and_answer(run: models.JobRun, **stated: Any) -> None:
        make(run, **stated)
        leave_answer(run)

    models.JobRun.__init__ = make_and_answer
    main(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    serve(sys.argv[1])
