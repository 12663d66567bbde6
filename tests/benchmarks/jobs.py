"""The Spark jobs as modules, so that a benchmark can run one in a session that has started already."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tools.checkout import CHECKOUT

JOBS = CHECKOUT / "spark_jobs"


def load_job(name: str) -> ModuleType:
    """Return a job's module by the name of its file."""
    spec = importlib.util.spec_from_file_location(name, JOBS / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"no job {name} in {JOBS}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where a dataclass of the job looks for its module
    spec.loader.exec_module(module)
    return module
