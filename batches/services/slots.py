"""How many jobs may be unfinished at once, and what that makes of a token queue."""

from batches import config

OTHERS = "*"  # in BATCH_MAX_JOBS_PER_WORKLOAD: the workloads that it does not name
OTHERS_SLOTS = 3
# More parts would gain little, and every part is a job to upload and to watch.
MOST_PARTS = 4


def slots_of(workload: str) -> int:
    """How many jobs of a workload may be unfinished at once."""
    by_name: dict[str, int] = config.get("BATCH_MAX_JOBS_PER_WORKLOAD")
    return by_name.get(workload, by_name.get(OTHERS, OTHERS_SLOTS))


def part_of(limit: int, workload: str) -> int:
    """The input tokens of one job out of those that fill a queue together.

    One slot is left for the job that is made ahead, and goes out when another leaves.
    """
    lanes = min(slots_of(workload), config.get("BATCH_MAX_JOBS")) - 1
    return max(limit // min(max(lanes, 1), MOST_PARTS), 1)


def is_worth_a_job(room: int, part: int) -> bool:
    """Whether a job may be cut down to so little room; else it waits for more."""
    return room >= max(part // 2, 1)
