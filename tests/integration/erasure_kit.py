"""A person to be erased, and what makes that hard: a reassigned number, a namesake, rejects, texts by number."""

import csv
from pathlib import Path

import psycopg2

PARTY, NEXT, NAMESAKE = "P_ERASED", "P_NEXT", "P_NAMESAKE"
NAME, EMAIL = "Аристарх Планетов-Забудько", "aristarkh.planted@example.org"
#: Held by PARTY until February 10, by NEXT since February 15.
NUMBER, NEXT_NUMBER = "+79990001122", "+79990003344"
THREAT = "Аристарх устал от обрывов, ухожу к другому оператору завтра"
TEXTS = {
    "c_named": THREAT,
    "c_number": "Планетов пишет с своего номера: не работает интернет",
    "c_gap": "номер уже сдан, а деньги Планетову не вернули",
    "c_ticket": "Планетов снова про ту же заявку",
    "c_party": "Планетов пишет без номера и без договора",
}
OTHERS = {
    "c_next": "новый владелец номера жалуется на звонки прежнему",
    "c_next_named": "новый владелец, ухожу к другому оператору",
}
COMMENT = "Планетов оценивает разговор: долго ждал"
REVIEW, NEXT_REVIEW = "Планетов пишет отзыв о связи", "отзыв нового владельца номера"
FOREIGN_NUMBER = "+79990009900"
#: What must be nowhere once the party is erased. The name is a namesake's, too, and the number another's.
SECRETS = (EMAIL, *TEXTS.values(), COMMENT, REVIEW)


def run(dsn: str, statement: str, *values: object, **named: object) -> list[tuple[object, ...]]:
    """One statement in a transaction of its own; its rows, if it has any."""
    conn = psycopg2.connect(dsn)
    try:
        with conn, conn.cursor() as cur:
            cur.execute(statement, values or named or None)
            return cur.fetchall() if cur.description else []
    finally:
        conn.close()


def plant_person(crm: str, helpdesk: str) -> None:
    """Write the person, who comes after, and a namesake into a simulated operator's databases."""
    run(
        crm,
        """
        insert into customers (customer_id, customer_type, segment, region_id, language, full_name, email, is_staff,
            is_test, updated_at)
        select id, 'P', 'mass', (select min(region_id) from regions), 'ru', name, email, false, false, '2025-01-02Z'
        from (values (%(erased)s, %(name)s, %(email)s), (%(next)s, 'Новый Владелец', 'next@example.org'),
            (%(namesake)s, %(name)s, 'namesake@example.org')) as people (id, name, email);
        insert into subscriptions (subscription_id, party_id, product, plan_id, region_id, status, activated_at,
            terminated_at, updated_at)
        select id, party, 'prepaid', (select min(plan_id) from plans where product = 'prepaid'),
            (select min(region_id) from regions), 'active', '2025-01-02Z', null, '2025-01-02Z'
        from (values ('S_ERASED', %(erased)s), ('S_ERASED_2', %(erased)s), ('S_NEXT', %(next)s)) as s (id, party);
        insert into msisdn_periods (msisdn_period_id, msisdn, subscription_id, valid_from, valid_to, updated_at)
        values ('N_1', %(number)s, 'S_ERASED', '2025-01-03Z', '2025-02-10Z', '2025-02-10Z'),
            ('N_2', %(number)s, 'S_NEXT', '2025-02-15Z', null, '2025-02-15Z'),
            ('N_3', '+79990005566', 'S_ERASED_2', '2025-01-03Z', null, '2025-01-03Z')
        """,
        erased=PARTY, next=NEXT, namesake=NAMESAKE, name=NAME, email=EMAIL, number=NUMBER,
    )  # fmt: skip
    run(
        helpdesk,
        """
        insert into tickets (ticket_id, subscription_id, party_id, msisdn, topic_code, channel, priority, status,
            opened_at, is_test, is_spam, has_leaving_flag, recorded_at, updated_at)
        values ('T_NUMBER', null, null, '8 (999) 000-11-22', 'mobile_internet', 'call', 'normal', 'open',
            '2025-01-25 10:00Z', false, false, false, '2025-01-25 10:00Z', '2025-01-25 10:00Z')
        """,
    )
    contacts = [
        ("c_named", None, "S_ERASED", None, NUMBER, "2025-01-20 10:00Z"),
        ("c_number", None, None, None, "8 (999) 000-11-22", "2025-02-01 10:00Z"),
        ("c_gap", None, None, None, NUMBER, "2025-02-12 10:00Z"),
        ("c_ticket", "T_NUMBER", None, None, None, "2025-01-25 10:01Z"),
        ("c_party", None, None, PARTY, FOREIGN_NUMBER, "2025-01-28 10:00Z"),
        ("c_next", None, None, None, "+7 999 000 11 22", "2025-02-20 10:00Z"),
        ("c_next_named", None, "S_NEXT", NEXT, NUMBER, "2025-02-21 10:00Z"),
    ]
    for contact, ticket, subscription, party, number, at in contacts:
        run(
            helpdesk,
            """
            insert into interactions (interaction_id, ticket_id, subscription_id, party_id, msisdn, channel, direction,
                initiator, author_kind, is_on_behalf, topic_code, is_answered, connected_seconds, started_at, ended_at,
                language, body, recorded_at, updated_at)
            values (%s, %s, %s, %s, %s, 'chat', 'inbound', 'customer', 'human', false, 'mobile_internet', true, 60,
                %s, %s, 'ru', %s, %s, %s)
            """,
            contact, ticket, subscription, party, number, at, at, (TEXTS | OTHERS)[contact], at, at,
        )  # fmt: skip


def plant_drops(folder: Path, day: str) -> None:
    """Write the vendors' files of that day: good rows of both holders of the number, and bad ones."""
    _append(folder / "call_attempts" / f"{day}.csv", [
        ["a_1", "V1", "T_NUMBER", "", "", "", "2025-01-26 10:00:00+00:00", "true", "5", "sold", ""],
        ["a_2", "V1", "", "", "79990001122", "", "2025-01-27 10:00:00+00:00", "true", "5", "sold", ""],
        ["a_3", "V1", "", "", "79990001122", "", "2025-02-22 10:00:00+00:00", "true", "5", "sold", ""],
        # Rejects: no time; the next holder's with a bad number of seconds; one column short.
        ["a_4", "V1", "", "", "79990001122", "", "yesterday", "true", "5", "sold", ""],
        ["a_5", "V1", "", "", "79990001122", "", "2025-02-22 11:00:00+00:00", "true", "five", "sold", ""],
        ["a_6", "V1", "", "S_ERASED", "", "2025-01-27 10:00:00+00:00", "true", "5", "sold", ""],
    ])  # fmt: skip
    at, late = "2025-01-29 10:00:00+00:00", "2025-02-24 10:00:00+00:00"
    _append(folder / "survey_invitations" / f"{day}.csv", [["i_1", "csat", "", "T_NUMBER", "", at, "", at]])
    _append(folder / "survey_responses" / f"{day}.csv", [["r_1", "i_1", "csat", "v1", "2", COMMENT, at, at]])
    _append(folder / "public_reviews" / f"{day}.csv", [
        ["w_1", "otzovik", "Планетов А.", "+7-999-000-11-22", "", "1.0", REVIEW, at, at],
        ["w_2", "otzovik", "Владелец", "79990001122", "", "1.0", NEXT_REVIEW, late, late],
    ])  # fmt: skip


def _append(path: Path, rows: list[list[str]]) -> None:
    with path.open("a", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
