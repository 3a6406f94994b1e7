"""What a failed model may say: which, why, and no value of a row."""

import pytest

from retention.transform import without_values

PLANTED = "+79161234567"


@pytest.mark.parametrize(
    "message",
    [
        "Database Error in model stg_crm__parties (models/staging/crm/stg_crm__parties.sql)\n"
        '  duplicate key value violates unique constraint "parties_key"\n'
        f"  DETAIL:  Key (msisdn)=({PLANTED}) already exists.\n  compiled code at target/run/x.sql",
        f'Database Error in model m (m.sql)\n  invalid input syntax for type integer: "{PLANTED}"\n'
        f"  LINE 3:   cast('{PLANTED}' as integer)\n            ^",
        f'Database Error in model m\n  date/time field value out of range: "{PLANTED}"\n  HINT:  Perhaps',
        f"Runtime error\n  value too long\n  CONTEXT:  COPY x, line 3, column msisdn: {PLANTED}",
    ],
)
def test_a_database_error_is_told_without_row_values(message: str) -> None:
    told = without_values(message)
    assert PLANTED not in told
    assert told.startswith(message.splitlines()[0])


def test_the_constraint_is_named() -> None:
    told = without_values(
        'Database Error in model m\n  duplicate key value violates unique constraint "parties_key"\n  DETAIL:  Key (a)'
    )
    assert told.endswith('violates unique constraint "parties_key"')


@pytest.mark.parametrize(
    "said",
    [
        'could not extend file "base/16384/2619": No space left on device',
        'connection to server at "127.0.0.1", port 5432 failed: Connection refused',
    ],
)
def test_what_the_operating_system_says_is_told(said: str) -> None:
    assert without_values(f"Database Error in model m\n  {said}").endswith(said)
