"""/api/admin/batch-monitoring: what an operator's dashboard reads, and what it does."""
