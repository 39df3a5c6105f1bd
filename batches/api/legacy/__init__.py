"""/api/admin/legacy: every request of the pooled pipeline, for platform admins."""
