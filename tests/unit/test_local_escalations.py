"""What a ten-minute run by hand is up to, where the operator has a clock of his own."""

from datetime import date, timedelta

import pytest

from retention.local.escalations import after_simulated
from retention.local.home import LocalError
from retention.local.night import as_of_night

LIVED = as_of_night(date(2026, 2, 5))


def test_runs_go_on_in_ten_minutes_from_what_the_operator_lived() -> None:
    assert after_simulated(LIVED, None) == LIVED
    assert after_simulated(LIVED, LIVED - timedelta(minutes=10)) == LIVED
    assert after_simulated(LIVED, LIVED) == LIVED + timedelta(minutes=10)


def test_after_a_run_by_the_real_clock_the_next_says_why_it_would_find_nothing() -> None:
    with pytest.raises(LocalError, match=r"goes by the real clock.*Nothing was done\..*retention run"):
        after_simulated(LIVED, LIVED + timedelta(days=300))
