"""What the engine costs, beside the floor that the machine and the database set.

Nothing here runs in daily use: `manage.py benchmark` is its one caller. It works in a
database, a spool and a workload of its own, and leaves none of them behind.
"""
