"""Who asks and what came of it, for the audit log; and the log itself, for auditors."""
