"""For tests of workloads: `check_workload` tries one against what the engine asks."""

from batches.testing.checking import BrokenWorkload, check_workload

__all__ = ["BrokenWorkload", "check_workload"]
