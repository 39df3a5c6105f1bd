"""/api/admin/batch-jobs: ten addresses of the academy's system, over jobs and runs."""
