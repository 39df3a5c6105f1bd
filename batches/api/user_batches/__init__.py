"""/api/v1/ai/batch: seven addresses over the runs of whoever calls, and of nobody else.

What they call a job is a run of ours. The address that asks for work is mounted beside
these by the app that owns the words.
"""
