"""Direct standardisation: worked values, agreement with statsmodels and the hand formula, laws, what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import DescrStatsW

from retention.outcomes.standardise import standardise

CELLS = st.lists(st.tuples(st.integers(0, 8), st.integers(2, 9)), min_size=6, max_size=6)


def rows(*cells):
    """(group, stratum, left, n) spelled out: values, group, stratum and a party for each row."""
    values = np.concatenate([np.arange(n) < left for _, _, left, n in cells])
    sizes = [n for *_, n in cells]
    group, stratum = (np.repeat([cell[i] for cell in cells], sizes) for i in (0, 1))
    return values, group, stratum, np.arange(len(values))


def test_section_8_in_house_and_the_vendor_with_easier_cases():
    found = standardise(*rows((0, 0, 10, 200), (0, 1, 160, 800), (1, 0, 48, 800), (1, 1, 44, 200)))
    in_house, vendor = found.groups
    assert (in_house.crude, vendor.crude) == (0.17, 0.092)
    assert (round(in_house.value, 12), round(vendor.value, 12)) == (0.125, 0.14)
    assert (found.dropped_share, found.strata_used, in_house.n, vendor.n_used) == (0.0, 2, 1000, 1000)
    difference = found.difference(1, 0)
    assert difference.value == pytest.approx(0.015)
    # About +-3.6 points: no difference shown.
    assert (difference.high - difference.low) / 2 == pytest.approx(0.036, abs=0.0005)
    assert difference.low < 0 < difference.high


def test_strata_that_not_every_group_has_are_dropped_and_counted():
    shared = rows((0, 0, 5, 50), (1, 0, 10, 50), (0, 1, 25, 50), (1, 2, 1, 30), (1, 3, 1, 1), (0, 3, 9, 19))
    found = standardise(*shared)
    # Stratum 3 has one party of group 1 only: there is no variance of one.
    assert found.dropped_share == pytest.approx(1 - 100 / 200)
    assert [(one.n, one.n_used) for one in found.groups] == [(119, 50), (81, 50)]
    assert [one.value for one in found.groups] == [0.1, 0.2]
    assert found.groups[0].crude == pytest.approx(39 / 119)


def test_without_a_common_stratum_it_refuses():
    found = standardise(*rows((0, 0, 5, 50), (1, 1, 10, 50)))
    assert [(one.value, one.low, one.refusal_reason) for one in found.groups] == [(None, None, "no_overlap")] * 2
    assert [one.crude for one in found.groups] == [0.1, 0.2]
    assert (found.dropped_share, found.difference(1, 0)) == (1.0, None)


@given(CELLS)
def test_value_and_error_equal_statsmodels_by_stratum(cells):
    """Two groups, three strata: weights from the pooled mix, the rest a weighted sum of statsmodels' stratum means."""
    listed = [(i // 3, i % 3, min(left, n), n) for i, (left, n) in enumerate(cells)]
    values, group, stratum, party = rows(*listed)
    found = standardise(values, group, stratum, party)
    weight = np.bincount(stratum) / len(stratum)
    for code in (0, 1):
        parts = [DescrStatsW(values[(group == code) & (stratum == s)].astype(float)) for s in range(3)]
        assert found.groups[code].value == pytest.approx(sum(w * p.mean for w, p in zip(weight, parts, strict=True)))
        variance = sum((w * p.std_mean) ** 2 for w, p in zip(weight, parts, strict=True))
        assert found.groups[code].standard_error == pytest.approx(np.sqrt(variance), abs=1e-12)
        assert 0 <= found.groups[code].low <= found.groups[code].value <= found.groups[code].high <= 1


@given(CELLS)
def test_the_same_mix_needs_no_standardisation_and_groups_trade_places(cells):
    sizes = [n for _, n in cells[:3]]
    listed = [(i // 3, i % 3, min(left, sizes[i % 3]), sizes[i % 3]) for i, (left, _) in enumerate(cells)]
    values, group, stratum, party = rows(*listed)
    found, turned = standardise(values, group, stratum, party), standardise(values, 1 - group, stratum, party)
    for one in found.groups:
        assert one.value == pytest.approx(one.crude)
    there, back = found.difference(1, 0), turned.difference(1, 0)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_a_mean_without_bounds_and_one_between_minus_one_and_one():
    """Net promoter marks -1, 0, 1: the same value and error; the bounded interval stays inside."""
    rng = np.random.default_rng(5)
    marks, group, stratum = rng.integers(-1, 2, 300), rng.integers(0, 2, 300), rng.integers(0, 3, 300)
    free = standardise(marks, group, stratum, np.arange(300), bounds=None).groups[0]
    bounded = standardise(marks, group, stratum, np.arange(300), bounds=(-1, 1)).groups[0]
    assert (free.value, free.standard_error) == (bounded.value, bounded.standard_error)
    assert (free.high - free.low) / 2 == pytest.approx(1.959964 * free.standard_error)
    assert [bounded.low, bounded.high] == pytest.approx([free.low, free.high], abs=0.01)
    content = standardise(np.ones(6), [0, 0, 0, 1, 1, 1], np.zeros(6), np.arange(6), bounds=(-1, 1)).groups[0]
    assert content.high == 1.0
    assert content.low < 0.6


def test_copies_of_a_party_widen_and_shared_parties_never_narrow():
    values, group, stratum, party = rows((0, 0, 10, 60), (0, 1, 20, 60), (1, 0, 12, 60), (1, 1, 22, 60))
    single = standardise(values, group, stratum, party)
    copied = standardise(*(np.tile(one, 4) for one in (values, group, stratum, party)))
    assert copied.groups[0].standard_error == pytest.approx(single.groups[0].standard_error)
    # The same parties on both sides, alike: the difference of twins would be surer than that of strangers.
    twins = standardise(values, group, stratum, party % 120)
    apart, joint = single.difference(1, 0), twins.difference(1, 0)
    assert joint.high - joint.low >= 0.999 * (apart.high - apart.low)


def test_parties_on_both_sides_that_go_opposite_ways_widen_the_difference():
    values = np.tile([1, 0], 50)
    group = np.tile([0, 1], 50) ^ (np.arange(100) >= 50)
    apart = standardise(values, group, np.zeros(100), np.arange(100)).difference(1, 0)
    joint = standardise(values, group, np.zeros(100), np.arange(100) // 2).difference(1, 0)
    assert joint.value == apart.value
    assert joint.high - joint.low > 1.3 * (apart.high - apart.low)


@pytest.mark.parametrize(
    ("values", "group"), [([0, 1, 2], [0, 1, 1]), ([0, 1], [0, 1, 1]), ([0, 1, np.nan], [0, 1, 1]), ([], [])]
)
def test_impossible_input_is_refused(values, group):
    with pytest.raises(ValueError, match="standardise"):
        standardise(values, group, [0, 0, 0][: len(group)], [1, 2, 3][: len(group)])


def test_a_group_without_rows_is_refused():
    with pytest.raises(ValueError, match="each with rows"):
        standardise([0, 1, 1], [0, 2, 2], [0, 0, 0], [1, 2, 3])


@pytest.mark.parametrize("seed", [1, 2])
def test_equal_partners_are_called_different_in_about_one_of_twenty(seed):
    """300 random pairs with the same risks and other mixes, thin strata and parties of several cases among them."""
    rng = np.random.default_rng(seed)
    called = crude = 0
    for _ in range(300):
        risk = rng.uniform(0.02, 0.3, 12)
        party = rng.integers(0, 300, 500)
        group = rng.integers(0, 2, 500)
        stratum = np.where(group == 0, rng.choice(12, 500, p=risk / risk.sum()), rng.integers(0, 12, 500))
        left = rng.random(500) < risk[stratum]
        for strata in (stratum, np.zeros(500)):
            found = standardise(left, group, strata, party).difference(1, 0)
            is_called = found is not None and not found.low <= 0 <= found.high
            called, crude = (called + is_called, crude) if strata is stratum else (called, crude + is_called)
    # Binomial at 5 %: more than 27 of 300 has a chance of 0.1 %. Without strata the mixes look like merit.
    assert called <= 27
    assert crude > 40
