"""The reader of phrases: what is asserted, negated, somebody else's or quoted, and where it stands in the text."""

import shutil
import unicodedata
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retention.simulator import texts
from retention.text.cues import Verdict
from retention.text.find import Hit, find_phrases, threat_kind
from retention.text.phrases import PhraseBook, load_rules
from retention.text.seeds import SeedError

SEEDS = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds"
RULES = load_rules(SEEDS)
BOOK = RULES.on(date(2026, 1, 1))
WANTED = {
    texts.THREAT: "asserted",
    texts.NEGATED: "negated",
    texts.THIRD_PARTY: "third_party",
    texts.QUOTED: "quoted",
}


def verdicts(body: str, language: str | None = None) -> set[str]:
    return {hit.verdict for hit in find_phrases(body, language, BOOK) if hit.signal in ("leaving", "left_already")}


@pytest.mark.parametrize("register", list(texts.TEMPLATES))
@pytest.mark.parametrize(("index", "language"), [(0, "ru"), (1, "en")])
def test_the_simulator_s_registers_are_read_as_they_were_meant(register: int, index: int, language: str) -> None:
    for template in texts.TEMPLATES[register][index]:
        for topic in texts.TOPIC_WORDS[index]:
            body = template.format(t=topic, d=texts.DETAILS[index][0])
            assert verdicts(body, language) == ({WANTED[register]} if register in WANTED else set()), body


def test_offsets_refer_to_the_text_as_it_was_given() -> None:
    body = "ﬁ … й и\u0306 ½ Ну всё: ПЕРЕЙДУ  к\u00a0другому операто\u0301ру ﬁ"
    (found,) = find_phrases(body, "ru", BOOK)
    assert body[found.start : found.end] == "ПЕРЕЙДУ  к\u00a0другому"
    decomposed = unicodedata.normalize("NFD", "Пойду-ка и перейду к другому операторуй. Всё, ухожу")
    assert [decomposed[h.start : h.end] for h in find_phrases(decomposed, None, BOOK)][-1] == "ухожу"


@given(st.text(max_size=60), st.sampled_from(["ухожу", "Перейду к другому оператору", "cancel my contract"]))
def test_a_hit_is_where_the_phrase_stands_whatever_surrounds_it(noise: str, phrase: str) -> None:
    body = f"{noise} . {phrase} . {noise}"
    start = len(noise) + 3
    (hit,) = [hit for hit in find_phrases(body, None, BOOK) if hit.start == start]
    assert start < hit.end <= start + len(phrase)
    assert phrase.startswith(body[hit.start : hit.end])


def test_only_the_declared_language_is_read() -> None:
    body = "Ухожу. Cancel my contract."
    assert {hit.phrase_id[:2] for hit in find_phrases(body, "ru", BOOK)} == {"ru"}
    assert {hit.phrase_id[:2] for hit in find_phrases(body, "en", BOOK)} == {"en"}
    assert {hit.phrase_id[:2] for hit in find_phrases(body, "kk", BOOK)} == {"ru", "en"}


def book_of(tmp_path: Path, *rows: str) -> PhraseBook:
    """The phrases seed with these rows only, on a day of 2026."""
    for name in ("word_lists.csv", "competitors.csv"):
        shutil.copy(SEEDS / name, tmp_path)
    columns = "phrase_id,language,phrase,person,signal,rule_version,valid_from,valid_to"
    (tmp_path / "phrases.csv").write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return load_rules(tmp_path).on(date(2026, 1, 1))


def test_the_seed_language_of_phrases(tmp_path: Path) -> None:
    book = book_of(tmp_path, "a,ru,увед* .. к|на @operator,any,leaving,7,2020-01-01,")
    (hit,) = find_phrases("уведу всю свою семью на #Билайном", "ru", book)
    assert (hit.phrase_id, hit.rule_version, hit.start, hit.end) == ("a", "7", 0, 33)
    assert find_phrases("уведу всю свою большую дружную семью на билайн", "ru", book) == []
    assert find_phrases("уведу. На билайн", "ru", book) == [], "a phrase ends with its sentence"
    assert len(find_phrases("уведу\nвсех, на «Билайн»", "ru", book)) == 1


def test_a_lemma_stands_for_its_forms_and_a_grammeme_for_some(tmp_path: Path) -> None:
    book = book_of(tmp_path, "all,ru,номер~,any,leaving,1,2020-01-01,", "mine,ru,уйти~1per,first,leaving,1,2020-01-01,")
    found = [hit.phrase_id for hit in find_phrases("номеров, номерами; ушёл, уйдёт, уйдём", "ru", book)]
    assert found == ["all", "all", "mine"]


def test_rules_are_those_of_the_day(tmp_path: Path) -> None:
    book_of(tmp_path, "old,ru,друг,any,leaving,1,2020-01-01,2026-01-01", "new,ru,друг,any,leaving,2,2026-01-01,")
    rules = load_rules(tmp_path)
    with (tmp_path / "competitors.csv").open("a") as stream:
        stream.write("New,новотел~,2026-03-01,\n")
    assert [rules.on(date(2025, 12, 31)).phrases[0].phrase_id, rules.on(date(2026, 1, 1)).phrases[0].phrase_id] == [
        "old", "new",
    ]  # fmt: skip
    assert rules.on(date(2019, 12, 31)).phrases == ()
    names = load_rules(tmp_path).on
    assert "новотелом" not in names(date(2026, 2, 28)).lists["ru"]["operator"]
    assert "новотелом" in names(date(2026, 3, 1)).lists["ru"]["operator"]


def test_a_harmless_phrase_keeps_others_away(tmp_path: Path) -> None:
    book = book_of(
        tmp_path, "a,ru,сразу .. уйду,first,leaving,1,2020-01-01,", "b,ru,уйду в отпуск,any,harmless,1,2020-01-01,"
    )
    assert find_phrases("сразу уйду в отпуск", "ru", book) == []
    assert len(find_phrases("сразу уйду", "ru", book)) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,kk,кетемін,any,leaving,1,2020-01-01,", "2: language is 'kk', allowed: ru, en"),
        ("a,ru,уйду,second,leaving,1,2020-01-01,", "2: person is 'second'"),
        ("a,ru,уйду,first,angry,1,2020-01-01,", "2: signal is 'angry'"),
        ("a,ru,уйдём,first,leaving,1,2020-01-01,", "written with е for ё"),
        ("a,ru,.. уйду,first,leaving,1,2020-01-01,", "must start and end with words"),
        ("a,ru,уйду,first,leaving,1,01.01.2020,", "dates as 2025-01-31"),
        ("a,ru,уйду~future,first,leaving,1,2020-01-01,", "after ~ stands one of 1per"),
        ("a,ru,уйду~,first,leaving,1,2020-01-01,", "'уйду' is no lemma"),
        ("a,ru,уйду @nowhere,first,leaving,1,2020-01-01,", "there is no list @nowhere"),
        (
            "a,ru,уйду,first,leaving,1,2020-01-01,\na,ru,ухожу,first,leaving,1,2020-01-01,",
            "3: phrase_id a is there twice",
        ),
    ],
)
def test_a_bad_seed_is_refused_by_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(SeedError, match=message):
        book_of(tmp_path, row)


def test_the_version_changes_with_each_seed(tmp_path: Path) -> None:
    book_of(tmp_path, "a,ru,уйду,first,leaving,1,2020-01-01,")
    versions = {load_rules(tmp_path).version}
    more = {"phrases.csv": "b,ru,ухожу,first,leaving,1,2020-01-01,", "competitors.csv": "X,икстел,2020-01-01,"}
    for name, row in more.items():
        with (tmp_path / name).open("a") as stream:
            stream.write(row + "\n")
        versions.add(load_rules(tmp_path).version)
    assert len(versions) == 3


@pytest.mark.parametrize(
    ("verdicts", "kind"),
    [
        ([("leaving", "asserted"), ("left_already", "asserted")], "threat"),
        ([("left_already", "asserted"), ("no_alternative", "asserted")], "left_already"),
        ([("leaving", "unreal")], "would_leave_no_alternative"),
        ([("leaving", "negated"), ("leaving", "third_party"), ("regulator", "asserted")], "none"),
        ([], "none"),
    ],
)
def test_the_strongest_thing_said_is_the_kind(verdicts: list[tuple[str, Verdict]], kind: str) -> None:
    assert threat_kind(Hit("p", "1", signal, 0, 1, verdict) for signal, verdict in verdicts) == kind
