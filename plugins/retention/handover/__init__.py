"""The hand-over: sensitive episodes into the outbox ops.handovers, by nights and by a run every ten minutes.

See docs/adr/0019-the-ten-minute-run.md and docs/runbooks/escalations.md.
"""
