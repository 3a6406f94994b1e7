"""Many comparisons at once: the false discovery rate (Benjamini and Hochberg, JRSS B 1995)."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def benjamini_hochberg(p_values: Floats) -> Floats:
    """q-value of each p-value, (n,) -> (n,) in the caller's order: the least false discovery rate at which it is found.

    q of the i-th smallest of m is the least p_j m / j over j >= i. Valid for independent tests and those that depend
    positively, as tests of many cells against one and the same rest do. Raises ValueError outside [0, 1].
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    if not ((p_values >= 0) & (p_values <= 1)).all():
        raise ValueError(f"Benjamini-Hochberg: {len(p_values)} p-values, not all of them in [0, 1]")
    m = len(p_values)
    descending = np.argsort(-p_values, kind="stable")
    scaled = p_values[descending] * m / np.arange(m, 0, -1)
    q_values = np.empty(m)
    # Rounded, so that what is 0.05 is not marked for a hair's breadth below it.
    q_values[descending] = np.round(np.minimum.accumulate(scaled), 15)
    return q_values
