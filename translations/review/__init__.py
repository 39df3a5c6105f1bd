"""Review by a person: what waits, what is edited, what is approved and published."""
