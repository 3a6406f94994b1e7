"""A simulated operator with a known truth, to try everything on.

`run.create` makes two source databases and the vendors' daily files, `run.forward` moves them on by days. Latent states
(who is dissatisfied, who is silent, whose grievance is open) produce the events; no rule of the marts is known here.

In the operator's folder:
- drops/<table>/YYYY-MM-DD.csv: the vendors' files and public reviews, one a day.
- truth/effects.json: every parameter (parameters.py says what each means).
- truth/subscriptions.csv, decisions.csv, episodes.csv: the latent state of people, of decisions to leave (with their
  hazard multiplier) and of complaint cases (difficulty, contact in time, promise, who handled it).
- truth/texts.csv: what each message says about leaving. truth/contact_counts.csv: contacts counted and lost a day.
- state/operator.npz: what the next day depends on.
"""
