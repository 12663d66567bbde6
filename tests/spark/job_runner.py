"""Runs Spark jobs one after the other in one session: a JSON list of name and arguments a line in, a result out."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict

from jobs import load_job
from plumewatch.settings import export_aws_settings


def main() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    export_aws_settings()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        job = load_job(name)
        print(json.dumps(asdict(job.run(job.parse_arguments(arguments)))), flush=True)


if __name__ == "__main__":
    main()
