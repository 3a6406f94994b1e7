"""Erasure of a person, suppression of what comes again, and the periods after which data go."""
