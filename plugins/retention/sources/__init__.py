"""Sources: the canonical tables (the contract) and where an installation takes them from (its profile)."""
