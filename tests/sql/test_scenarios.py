"""The edge cases of DEFINITIONS 7 that staging and intermediate decide, planted together, over two nights."""

from collections.abc import Iterator

import pytest
from complaint_scenarios import overrides, said, whose
from planting import Planted, at, differing
from scenarios import NIGHTS, Book, changes, complaints, departures, identities

from conftest import Warehouse

SILENT_ON_NIGHT_ONE = "select count(*) from intermediate.int_churn_events where subscription_id = 'silent'"
CRM_MERGED = "select party_id, segment from intermediate.int_episodes where subject_id = 'crm-merged'"
EPISODES_OF_MERGED = """select count(distinct ec.episode_id) from intermediate.int_episode_contacts ec
    where contact_id in ('contact-A', 'contact-B')"""


@pytest.fixture(scope="module")
def planted(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """Both nights are done; `before` holds what the first one said."""
    conn = shared_warehouse.connect("etl")
    warehouse = Planted(shared_warehouse.dsn("etl"), conn, tmp_path_factory.mktemp("dbt"))
    books = (Book(), Book())
    for plant in (identities, complaints, departures, changes, overrides, whose, said):
        plant(*books)
    for as_of, book in zip(NIGHTS, books, strict=True):
        warehouse.open(as_of)
        for table in {*book.rows, *book.deleted, "crm.usage_months", "crm.subscription_events"}:
            load_id = warehouse.load(table, book.rows[table], book.deleted[table], watermark_to=as_of)
            if table == "helpdesk.contacts":
                for contact_id, verdict in book.hits:
                    warehouse.hit(contact_id, load_id, verdict)
            prefix = {"helpdesk.contacts": "", "web.public_reviews": "review:"}.get(table)
            for contact_id, sentiment, topic, threat_kind, signal in book.messages:
                if contact_id.startswith("review:") == (prefix == "review:") and prefix is not None:
                    warehouse.message(contact_id, load_id, sentiment, topic, threat_kind)
                    if signal is not None:
                        warehouse.hit(contact_id, load_id, "asserted", signal=signal)
        warehouse.transform()
        if as_of == NIGHTS[0]:
            warehouse.before = {query: warehouse.row(query) for query in (SILENT_ON_NIGHT_ONE, EPISODES_OF_MERGED)}
            warehouse.before["deleted"] = linked(warehouse, "deleted-and-back")
            warehouse.before["later"] = linked(warehouse, "linked-later")
            warehouse.before["crm-merged"] = warehouse.row(CRM_MERGED)
            warehouse.before["raised"] = history(warehouse, "raised")
    yield warehouse
    conn.close()


def linked(planted: Planted, contact_id: str) -> list[tuple[object, ...]]:
    query = (
        "select subject_id, link_method, exclusion_reason from intermediate.int_contacts_linked where contact_id = %s"
    )
    return planted.rows(query, contact_id)


def episodes(planted: Planted, subject_id: str) -> int:
    return len(planted.rows("select 1 from intermediate.int_episodes where subject_id = %s", subject_id))


def level(planted: Planted, subject_id: str) -> list[object]:
    query = "select level from intermediate.int_episode_levels where subject_id = %s order by valid_from, valid_to"
    return [value for (value,) in planted.rows(query, subject_id)]


def history(planted: Planted, subject_id: str) -> list[tuple[object, ...]]:
    query = """select level, rule_id, valid_from from intermediate.int_level_history where subject_id = %s
        order by valid_from"""
    return planted.rows(query, subject_id)


def churn(planted: Planted, subscription_id: str) -> list[tuple[object, ...]]:
    query = """select kind, cause_group, outcome, is_churn, churned_at from intermediate.int_churn_events
        where subscription_id = %s order by coalesce(churned_at, intent_at)"""
    return planted.rows(query, subscription_id)


def outcome(planted: Planted, subscription_id: str, columns: str) -> tuple[object, ...]:
    query = f"select {columns} from intermediate.int_episode_outcomes where subscription_id = %s"
    return planted.row(query, subscription_id)


# Identity


def test_edge_02_two_channels_within_five_minutes_are_one_episode_and_no_repeat(planted: Planted) -> None:
    assert episodes(planted, "channels") == 1
    assert level(planted, "channels") == ["L1"]
    query = "select duplicate_of_contact_id from intermediate.int_contacts_linked where contact_id = 'chat'"
    assert planted.row(query) == ("mail",)


def test_edge_03_a_merged_ticket_has_its_contacts_moved_and_an_unmerge_undoes_it(planted: Planted) -> None:
    assert planted.before[EPISODES_OF_MERGED] == (1,)
    assert planted.row(EPISODES_OF_MERGED) == (2,)
    query = "select root_ticket_id, is_merged from intermediate.int_tickets_resolved where ticket_id = 'B'"
    assert planted.row(query) == ("B", False)


def test_edge_04_a_merge_chain_has_one_root_and_a_cycle_is_left_unmerged(planted: Planted) -> None:
    query = """select ticket_id, root_ticket_id, is_merge_cycle from intermediate.int_tickets_resolved
        where ticket_id similar to '(chain|ring|tail)%%' order by 1"""
    assert planted.rows(query) == [
        ("chain-1", "chain-3", False), ("chain-2", "chain-3", False), ("chain-3", "chain-3", False),
        ("ring-1", "ring-1", True), ("ring-2", "ring-2", True), ("tail", "tail", True),
    ]  # fmt: skip


@pytest.mark.parametrize("spelling", range(5))
def test_edge_05_edge_13_a_number_belongs_to_its_holder_at_that_time_however_it_is_written(
    planted: Planted, spelling: int
) -> None:
    assert linked(planted, f"before-{spelling}") == [("old-holder", "msisdn", None)]
    assert linked(planted, f"after-{spelling}") == [("new-holder", "msisdn", None)]


def test_a_party_links_only_through_its_only_active_subscription(planted: Planted) -> None:
    assert linked(planted, "by-party") == [("by-party", "party", None)]
    assert linked(planted, "ambiguous") == [("party:two-of-them", None, None)]


def test_a_contact_linked_later_leaves_nothing_under_its_former_subject(planted: Planted) -> None:
    assert planted.before["later"] == [("contact:linked-later", None, None)]
    assert linked(planted, "linked-later") == [("late-link", "explicit", None)]
    assert episodes(planted, "contact:linked-later") == 0
    assert episodes(planted, "late-link") == 1


def test_edge_07_three_contracts_one_ported_is_one_churn(planted: Planted) -> None:
    query = "select subscription_id from intermediate.int_churn_events where party_id = 'three-contracts' and is_churn"
    assert planted.row(query) == ("contract-1",)


def test_edge_10_a_relative_is_linked_on_behalf_and_the_words_are_not_the_owners(planted: Planted) -> None:
    assert linked(planted, "relative") == [("relative", "explicit", None)]
    assert level(planted, "relative") == ["L3b"]
    assert outcome(planted, "relative", "is_own_words_3b") == (False,)


def test_edge_11_reviews_are_cases_of_their_own_unless_a_number_says_whose(planted: Planted) -> None:
    assert linked(planted, "review:angry") == [("old-holder", "msisdn", None)]
    assert linked(planted, "review:stranger") == [("review:stranger", None, None)]
    assert level(planted, "review:stranger") == ["L3c"]
    assert linked(planted, "review:happy") == [("review:happy", None, "not_a_complaint")]
    query = "select count(*) from intermediate.int_episode_outcomes where subscription_id is null"
    assert planted.row(query) == (0,)


def test_edge_14_exclusions_have_a_reason_and_no_episode(planted: Planted) -> None:
    reasons = {"staff": "staff", "testers": "test", "spam": "spam", "question": "not_a_complaint"}
    for contact_id, reason in reasons.items():
        ((_, _, found),) = linked(planted, contact_id)
        assert found == reason
    assert episodes(planted, "staff") == episodes(planted, "testers") == 0


def test_edge_50_edge_56_unknown_and_missing_topics_are_counted(planted: Planted) -> None:
    query = "select topic, contact_count from intermediate.int_episodes where subject_id = 'quiet' order by topic"
    assert planted.rows(query) == [("network_coverage", 1), ("unknown", 2)]


def test_a_ticket_without_contacts_stands_for_one(planted: Planted) -> None:
    assert linked(planted, "ticket:no-contacts") == [("merge-A", "ticket", None)]
    assert linked(planted, "ticket:A") == []


def test_edge_48_a_deleted_contact_is_gone_with_its_episode(planted: Planted) -> None:
    assert planted.before["deleted"] == [("deleted-and-back", "explicit", None)]
    assert linked(planted, "deleted-and-back") == []
    assert episodes(planted, "deleted-and-back") == 0


def test_edge_01_the_same_row_in_two_extracts_is_one_ticket(planted: Planted) -> None:
    query = """select count(*), max(tickets.event_count) from intermediate.int_tickets_resolved as tickets
        where ticket_id = 'loaded-twice'"""
    assert planted.row(query) == (1, 0)
    assert planted.row("select count(*) from raw.helpdesk__tickets where ticket_id = 'loaded-twice'") == (2,)
    assert planted.row("select contact_count from intermediate.int_episodes where subject_id = 'loaded-twice'") == (1,)


def test_edge_06_the_new_holder_of_a_number_sees_nothing_old(planted: Planted) -> None:
    query = "select subject_id, min(started_at) from intermediate.int_episodes where subject_id = any(%s) group by 1"
    assert dict(planted.rows(query, ["old-holder", "new-holder"])) == {"old-holder": at(10), "new-holder": at(20)}


def test_edge_09_what_an_admin_says_for_500_lines_is_one_episode(planted: Planted) -> None:
    query = """select subject_id, segment, party_id, contact_count, is_on_behalf, is_linked
        from intermediate.int_episodes where party_id = 'company'"""
    assert planted.rows(query) == [("party:company", "corporate", "company", 2, True, False)]
    query = "select distinct unlinked_reason from intermediate.int_contacts_linked where party_id = 'company'"
    assert planted.row(query) == ("party_not_telling",)
    # A repeat of a corporate customer is sensitive, whoever of its lines it is about.
    assert [row[:2] for row in history(planted, "party:company")] == [
        ("L1", "complaint_topic"), ("L2", "repeat_contact"),
    ]  # fmt: skip


def test_edge_12_customers_merged_by_the_crm_are_restated_and_the_night_before_is_not(planted: Planted) -> None:
    assert planted.before["crm-merged"] == ("found-twice", "mass")
    assert planted.row(CRM_MERGED) == ("found-once", "vip")
    # A rebuild of the first night reads the loads up to it: that version is still there.
    query = """select r.party_id from raw.crm__subscriptions as r inner join ops.loads as l on r._load_id = l.load_id
        where r.subscription_id = 'crm-merged' and l.batch_id = (select min(batch_id) from ops.batches)"""
    assert planted.row(query) == ("found-twice",)


def test_edge_28_two_contacts_around_midnight_are_a_fifth_of_a_second_apart(planted: Planted) -> None:
    query = """select count(distinct episodes.episode_id), max(contacts.duplicate_of_contact_id),
            extract(epoch from max(contacts.started_at) - min(contacts.started_at))::float8
        from intermediate.int_contacts_linked as contacts
        inner join intermediate.int_episode_contacts as episodes using (contact_id)
        where contacts.subject_id = 'midnight'"""
    count, duplicate_of, seconds = planted.row(query)
    assert (count, duplicate_of, round(float(str(seconds)), 3)) == (1, "midnight-1", 0.2)
    assert level(planted, "midnight") == ["L1"]


# Episodes, repeats, levels


def test_an_episode_closes_30_days_after_the_last_contact(planted: Planted) -> None:
    query = "select contact_count from intermediate.int_episodes where subject_id = 'gaps' order by started_at"
    assert planted.rows(query) == [(3,), (1,)]


def test_an_unresolved_episode_does_not_close(planted: Planted) -> None:
    assert episodes(planted, "open-ticket") == 1
    assert planted.row("select closes_at from intermediate.int_episodes where subject_id = 'open-ticket'") == (None,)


def test_edge_39_a_reopen_keeps_the_first_resolution_and_after_the_gap_begins_a_new_episode(planted: Planted) -> None:
    query = """select first_resolved_at, last_resolved_at, reopen_count
        from intermediate.int_tickets_resolved where ticket_id = 'reopened'"""
    assert planted.row(query) == (at(2), at(55), 1)
    query = "select first_resolved_at from intermediate.int_episodes where subject_id = 'reopened' order by started_at"
    assert planted.rows(query) == [(at(2),), (at(55),)]


def test_edge_72_repeats_are_customers_contacts_from_four_hours_to_the_window(planted: Planted) -> None:
    query = """select contact_id, is_repeat_7d, is_repeat_30d, has_repeat_7d, earlier_contact_id
        from intermediate.int_repeat_contacts where subscription_id = 'repeats' order by started_at"""
    assert planted.rows(query) == [
        ("repeat-first", False, False, True, None),
        ("repeat-too-soon", False, False, True, None),
        ("repeat-in-7", True, True, False, "repeat-too-soon"),
        ("repeat-in-30", False, True, False, "repeat-in-7"),
    ]
    assert level(planted, "repeats") == ["L1", "L2"]
    query = "select is_sensitive from intermediate.int_episode_levels where subject_id = 'repeats' and level = 'L2'"
    assert planted.row(query) == (True,)


def test_a_repeat_counts_from_the_resolution_only_once_that_is_known(planted: Planted) -> None:
    query = """select contact_id, is_repeat_30d, has_repeat_30d from intermediate.int_repeat_contacts
        where subscription_id = 'after-resolution' order by started_at"""
    # Day 35 is too late after day 0 and the resolution is still to come; day 69 is 29 days after it.
    assert planted.rows(query) == [
        ("resolved-late", False, True),
        ("before-it", False, False),
        ("after-it", True, False),
    ]


def test_edge_71_only_asserted_phrases_of_leaving_make_level_three(planted: Planted) -> None:
    assert level(planted, "phrase-own") == ["L3b"]
    assert outcome(planted, "phrase-own", "level, is_own_words_3b") == ("L3b", True)
    assert level(planted, "phrase-not-leaving") == level(planted, "phrase-a-friend") == ["L1"]


def test_an_agents_flag_raises_the_level_when_it_was_set(planted: Planted) -> None:
    query = """select level, valid_from, valid_to from intermediate.int_episode_levels
        where subject_id = 'flagged' order by valid_from"""
    assert planted.rows(query) == [("L1", at(10), at(10, 5)), ("L3d", at(10, 5), None)]


def test_edge_46_edge_47_one_instant_is_ordered_by_sequence_and_the_first_team_is_kept(planted: Planted) -> None:
    query = """select is_open, first_resolved_at, first_team_id, reassignment_count, event_count
        from intermediate.int_tickets_resolved where ticket_id = 'same-instant'"""
    assert planted.row(query) == (False, at(12), "team-1", 1, 4)


def test_what_happened_after_as_of_waits_for_the_next_night(planted: Planted) -> None:
    assert linked(planted, "tomorrow") == [("quiet", "explicit", None)]


# Levels set by hand


def test_an_override_with_a_reason_lowers_the_level_and_a_later_signal_raises_it_again(planted: Planted) -> None:
    assert history(planted, "lowered") == [
        ("L1", "complaint_topic", at(10)), ("L2", "repeat_contact", at(12)), ("L1", "override", at(14)),
        ("L2", "repeat_contact", at(20)),
    ]  # fmt: skip
    assert history(planted, "not-a-complaint")[-1] == ("L0", "override", at(14))
    # Outcomes and hand-overs rest on the highest reached.
    assert level(planted, "lowered") == level(planted, "not-a-complaint") == ["L1", "L2"]
    assert outcome(planted, "not-a-complaint", "level") == ("L2",)


def test_an_override_may_raise_and_counts_as_an_agents_flag(planted: Planted) -> None:
    assert planted.before["raised"][-1] == ("L3d", "override", at(14))  # type: ignore[index]
    assert history(planted, "raised")[2:] == [("L3d", "override", at(14)), ("L1", "override", at(120, 5))]
    assert level(planted, "raised") == ["L1", "L2", "L3d"]
    # An order stays what it is when somebody says level 3.
    assert [row[0] for row in history(planted, "kept")] == ["L1", "L2", "L3a"]


def test_an_override_without_a_reason_or_to_an_unknown_level_does_nothing_and_is_counted(planted: Planted) -> None:
    for subject in ("no-reason", "odd-level"):
        assert [row[0] for row in history(planted, subject)] == ["L1", "L2"]
    query = """select ignored_because, count(*) from intermediate.int_level_overrides
        where ignored_because is not null group by 1 order by 1"""
    assert planted.rows(query) == [("no_episode", 1), ("no_reason", 2), ("unknown_level", 1)]


def test_an_override_counts_from_when_it_was_written_and_what_it_did_not_know_comes_back(planted: Planted) -> None:
    assert history(planted, "back-dated")[-1] == ("L1", "override", at(16))
    assert history(planted, "unknowing") == [
        ("L1", "complaint_topic", at(10)), ("L2", "repeat_contact", at(12)), ("L3a", "leaving_order", at(13)),
        ("L1", "override", at(14)), ("L3a", "leaving_order", at(15)),
    ]  # fmt: skip
    # Of one instant the person has the last word, and of two persons the later sequence.
    assert history(planted, "same-instant-override") == [("L1", "complaint_topic", at(10))]
    assert history(planted, "twice")[-1] == ("L1", "override", at(14))


def test_an_override_reaches_the_episodes_of_its_ticket_only(planted: Planted) -> None:
    query = """select episodes.topic, history.level from intermediate.int_level_history as history
        inner join intermediate.int_episodes as episodes using (episode_id)
        where history.subject_id = %s and history.valid_to is null order by episodes.started_at, 1"""
    assert planted.rows(query, "of-merged") == [("roaming", "L1"), ("network_coverage", "L3d")]
    assert [value for (_, value) in planted.rows(query, "two-episodes")] == ["L1", "L3d"]


def test_the_history_of_levels_has_no_gap_and_begins_with_the_episode(planted: Planted) -> None:
    broken = """select count(*) from (
            select valid_from, valid_to, level, lead(valid_from) over w as next_from, lead(level) over w as next_level
            from intermediate.int_level_history window w as (partition by episode_id order by valid_from)
        ) as intervals
        where valid_to is distinct from next_from or valid_to <= valid_from or level = next_level"""
    assert planted.row(broken) == (0,)
    beginning = """select count(*) from intermediate.int_episodes as episodes
        left join intermediate.int_level_history as history
            on episodes.episode_id = history.episode_id and episodes.started_at = history.valid_from
        where history.episode_id is null"""
    assert planted.row(beginning) == (0,)
    assert history(planted, "flagged-question") == [
        ("L0", "not_a_complaint", at(10)), ("L3d", "leaving_flag", at(10, 5)),
    ]  # fmt: skip
    # Without overrides it is what the levels that only rise say.
    same = """select episode_id, level, valid_from, valid_to from intermediate.int_episode_levels
        where episode_id not in (select episode_id from intermediate.int_level_overrides where episode_id is not null)
        except select episode_id, level, valid_from, valid_to from intermediate.int_level_history"""
    assert planted.rows(same) == []


# What the words say


def test_edge_71_who_has_left_or_has_nowhere_to_go_is_not_leaving(planted: Planted) -> None:
    assert level(planted, "said-left-already") == level(planted, "said-no-alternative") == ["L1"]
    assert level(planted, "said-leaving") == ["L3b"]


def test_the_topic_is_the_codes_else_the_texts_else_unknown(planted: Planted) -> None:
    query = """select substr(contact_id, 7), topic, topic_source, is_topic_code_unknown, exclusion_reason
        from intermediate.int_contacts_linked where subject_id = 'topics' order by started_at"""
    assert planted.rows(query) == [
        ("coded", "roaming", "code", False, None),
        ("uncoded", "billing_dispute", "text", False, None),
        ("unknown-code", "billing_dispute", "text", True, None),
        ("not-in-tree", "unknown", "unknown", False, None),
        ("no-topic", "unknown", "unknown", False, None),
        ("asks", "question", "text", False, "not_a_complaint"),
        ("asks-angrily", "question", "text", False, None),
    ]


def test_edge_11_a_review_without_a_rating_is_judged_by_its_words(planted: Planted) -> None:
    assert level(planted, "review:angry-words") == ["L3c"]
    assert linked(planted, "review:kind-words") == [("review:kind-words", None, "not_a_complaint")]
    assert linked(planted, "review:no-words") == [("review:no-words", None, "not_a_complaint")]
    query = """select is_linked, topic, started_at from intermediate.int_episodes
        where subject_id = 'review:angry-words'"""
    assert planted.row(query) == (False, "mobile_internet", at(10))


def test_edge_72_our_call_back_is_no_repeat_and_neither_is_another_topic(planted: Planted) -> None:
    query = """select contact_id, earlier_contact_id from intermediate.int_contact_repeats
        where subject_id = any(%s) and is_repeat_30d"""
    assert planted.rows(query, ["our-callback", "other-topic"]) == [("of-one-topic-again", "of-one-topic")]


# Churn


def test_edge_18_a_port_is_churn_when_it_takes_effect_and_intent_before(planted: Planted) -> None:
    assert churn(planted, "ported") == [("port_out", "voluntary", "left", True, at(18))]
    assert level(planted, "ported") == ["L1", "L3a"]
    assert outcome(planted, "ported", "level, level_reached_at, churned_at, churn_kind, is_left_before") == (
        "L3a", at(10), at(18), "port_out", False,
    )  # fmt: skip
    assert churn(planted, "port-cancelled") == [("port_out", "voluntary", "cancelled", False, None)]
    assert outcome(planted, "port-cancelled", "level, churned_at") == ("L3a", None)


def test_an_order_is_stronger_than_words_unless_it_comes_after_leaving(planted: Planted) -> None:
    columns = "level, level_reached_at, is_own_words_3b"
    assert outcome(planted, "said-then-ordered", columns) == ("L3a", at(12), True)
    assert outcome(planted, "ordered-then-said", columns) == ("L3a", at(7), True)
    assert outcome(planted, "said-then-left", columns) == ("L3b", at(10), True)
    # What was said stays on record, and was sensitive from then on.
    query = """select level, phrase_id is not null, valid_from, valid_to from intermediate.int_episode_levels
        where subject_id = 'said-then-ordered' and is_sensitive order by valid_from"""
    assert planted.rows(query) == [("L3b", True, at(10), at(12)), ("L3a", False, at(12), None)]


def test_edge_19_a_refused_port_then_a_cut_for_debt_is_involuntary(planted: Planted) -> None:
    assert [row[:4] for row in churn(planted, "refused-then-cut")] == [
        ("port_out", "voluntary", "refused", False), ("debt", "competing", "left", True),
    ]  # fmt: skip
    assert outcome(planted, "refused-then-cut", "churned_at, competing_at, competing_kind") == (None, at(20), "debt")


def test_edge_23_an_order_counts_on_its_effective_date_unless_withdrawn(planted: Planted) -> None:
    assert churn(planted, "ordered") == [("disconnect", "voluntary", "left", True, at(24))]
    assert churn(planted, "withdrawn") == [("disconnect", "voluntary", "withdrawn", False, None)]
    assert [row[2:] for row in churn(planted, "ordered-ahead")] == [("left", True, at(120, 12))]


def test_edge_15_who_left_by_order_before_complaining_is_left_before(planted: Planted) -> None:
    assert outcome(planted, "left-first", "is_left_before, churned_at") == (True, None)


def test_edge_16_on_the_same_day_without_a_time_the_order_is_not_known(planted: Planted) -> None:
    verdicts = {
        "tied": (True, True),
        "tied-in-the-east": (True, True),
        "complained-by-day": (False, True),
        "not-tied": (True, False),
        "the-day-after": (True, False),
    }
    for name, verdict in verdicts.items():
        assert (name, outcome(planted, name, "is_left_before, is_same_day_tie")) == (name, verdict)
    ties = "select subscription_id from intermediate.int_episode_outcomes where is_same_day_tie order by 1"
    assert [name for (name,) in planted.rows(ties)] == ["complained-by-day", "tied", "tied-in-the-east"]


def test_edge_17_left_and_back_and_left_again(planted: Planted) -> None:
    """The first event for survival; won back by revenue 30 days on; then reversed by a churn of its own."""
    assert [row[2:] for row in churn(planted, "left-and-left-again")] == [
        ("left", True, at(20)), ("left", True, at(100)),
    ]  # fmt: skip
    columns = "churned_at, churn_kind, returned_at, returned_revenue_30d"
    assert outcome(planted, "left-and-left-again", columns) == (at(20), "disconnect", at(40), True)


def test_back_after_an_order_with_revenue_a_month_on(planted: Planted) -> None:
    columns = "churned_at, returned_at, returned_revenue_30d"
    assert outcome(planted, "back-again", columns) == (at(30), at(45), True)


def test_revenue_a_month_on_is_half_open_and_ends_at_as_of(planted: Planted) -> None:
    verdicts = {
        "a-month-on": True,
        "not-a-month-on": False,
        "first-a-month-on": True,
        "two-months-on": False,
        "not-yet-a-month-on": False,
    }
    for name, verdict in verdicts.items():
        assert (name, *outcome(planted, name, "returned_revenue_30d")) == (name, verdict)


@pytest.mark.parametrize("kind", ["suspension", "sim_swap", "migration", "plan_change", "transfer"])
def test_edge_08_edge_21_what_is_not_churn(planted: Planted, kind: str) -> None:
    assert churn(planted, f"still-here-{kind}") == []
    assert outcome(planted, f"still-here-{kind}", "churned_at, competing_at") == (None, None)


@pytest.mark.parametrize("kind", ["death", "fraud", "liquidation", "technical"])
def test_edge_22_endings_by_the_operator_compete(planted: Planted, kind: str) -> None:
    assert churn(planted, f"ended-{kind}") == [(kind, "competing", "left", True, at(10))]
    assert outcome(planted, f"ended-{kind}", "churned_at, competing_kind") == (None, kind)


def test_edge_20_prepaid_silence_is_churn_on_the_day_after_and_known_ninety_days_later(planted: Planted) -> None:
    assert planted.before[SILENT_ON_NIGHT_ONE] == (0,)
    assert churn(planted, "silent") == [("inactivity", "voluntary", "left", True, at(31))]
    assert outcome(planted, "silent", "churned_at, churn_kind, is_silent_at_complaint") == (at(31), "inactivity", False)


def test_edge_15_a_complaint_inside_the_silence_is_not_left_before(planted: Planted) -> None:
    columns = "is_left_before, churned_at - level_reached_at = interval '1 second', is_silent_at_complaint"
    assert outcome(planted, "silent-at-complaint", columns) == (False, True, True)
    assert outcome(planted, "silent-before", "is_left_before, is_silent_at_complaint") == (True, False)


def test_silence_is_counted_in_local_days(planted: Planted) -> None:
    # Day 9 at 18:00 in Moscow is day 10 at 01:00 in Vladivostok: churn at its midnight after day 10.
    assert churn(planted, "eastern") == [("inactivity", "voluntary", "left", True, at(10, 17))]


def test_an_ended_silence_is_churn_and_a_return(planted: Planted) -> None:
    query = (
        "select churned_at, resumed_at, is_churn from intermediate.int_churn_events where subscription_id = 'resumed'"
    )
    assert planted.row(query) == (at(-84), at(8), True)
    assert churn(planted, "postpaid-silent") == []


def test_edge_24_two_episodes_share_one_churn(planted: Planted) -> None:
    assert len(churn(planted, "two-topics")) == 1
    query = """select churned_at, is_index from intermediate.int_episode_outcomes
        where subscription_id = 'two-topics' order by started_at"""
    assert planted.rows(query) == [(at(20), True), (at(20), False)]


def test_a_line_closed_after_silence_is_not_a_second_churn(planted: Planted) -> None:
    assert [row[:4] for row in churn(planted, "closed-after-silence")] == [
        ("inactivity", "voluntary", "left", True), ("technical", "competing", "already_gone", False),
    ]  # fmt: skip


def test_edge_25_maturity_is_cut_off_by_product_and_cause(planted: Planted) -> None:
    columns = "knowable_until_order, knowable_until_any"
    assert outcome(planted, "ported", columns) == (at(120, 2), at(120, 2))
    assert outcome(planted, "silent", columns) == (at(120, 2), at(31, 2))
    # A complaint 29 days before as_of: its 30 days are not over.
    columns = "level_reached_at + interval '30 days' > knowable_until_order, churned_at"
    assert outcome(planted, "young", columns) == (True, None)


def test_edge_27_a_churn_exactly_at_thirty_days_is_known_to_the_instant(planted: Planted) -> None:
    columns = "churned_at - level_reached_at = interval '30 days', churned_at"
    assert outcome(planted, "left-at-thirty-days", columns) == (True, at(80))


def test_silent_for_thirty_days_is_half_open_and_of_prepaid_only(planted: Planted) -> None:
    columns = "is_silent_30d, knowable_until_usage"
    for name, verdict in (("silent-30", True), ("earning", False), ("earning-at-the-end", True), ("ported", None)):
        assert (name, outcome(planted, name, columns)) == (name, (verdict, at(121, 2)))


def test_edge_57_an_outcome_stays_with_the_team_and_vendor_first_assigned(planted: Planted) -> None:
    columns = "first_agent_id, first_team_id, first_vendor_id, sourcing, churned_at"
    # Whether the helpdesk names the team or the agent alone, who has moved to another vendor since.
    for name in ("by-mover", "by-mover-unsaid"):
        assert outcome(planted, name, columns) == ("mover", "theirs", "v1", "outsourced", at(20))
    assert planted.row("select team_id, vendor_id from intermediate.int_agents where agent_id = 'mover'") == (
        "others", "v2",
    )  # fmt: skip


def test_edge_58_the_outcomes_of_a_deleted_agent_remain(planted: Planted) -> None:
    columns = "first_agent_id, first_team_id, sourcing, churned_at"
    assert outcome(planted, "by-deleted", columns) == ("deleted", "ours", "in_house", at(20))
    query = "select is_listed, team_id from intermediate.int_agents where agent_id = 'deleted'"
    assert planted.row(query) == (False, None)


# What a night recomputes


def test_every_way_in_which_a_load_reaches_a_subject_is_followed(planted: Planted) -> None:
    """Last: it refreshes everything in full."""
    before = planted.hashes()
    assert linked(planted, "of-seller") == [("party:seller", None, None)]
    assert linked(planted, "by-moved-number") == [("taker", "msisdn", None)]
    assert linked(planted, "by-early-number") == [("late", "msisdn", None)]
    assert linked(planted, "hired") == [("hired", "explicit", "staff")]
    assert linked(planted, "ticket:left-alone") == [("wrong", "ticket", None)]
    assert linked(planted, "below-root") == [("root-owner", "root_ticket", None)]
    assert linked(planted, "review:withdrawn") == []
    planted.refresh()
    assert differing(before, planted.hashes()) == []
