"""The reader of phrases: what is asserted, negated, somebody else's or quoted, and where it stands in the text."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retention.simulator import texts
from retention.text.find import find_phrases
from retention.text.phrases import COLUMNS, PhrasesError, load_phrases

SEED = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds" / "threat_phrases.csv"
BOOK = load_phrases(SEED)
WANTED = {
    texts.THREAT: "asserted",
    texts.NEGATED: "negated",
    texts.THIRD_PARTY: "third_party",
    texts.QUOTED: "quoted",
}


def verdicts(body: str, language: str | None = None) -> set[str]:
    return {hit.verdict for hit in find_phrases(body, language, BOOK)}


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("Перейду к другому оператору", "asserted"),
        ("всё, УХОЖУ от вас!", "asserted"),
        ("Отключите номер", "asserted"),
        ("Хочу расторгнуть договор", "asserted"),
        ("Переношу номер в Теле2", "asserted"),
        ("завтра сменю оператора", "asserted"),
        ("хотела бы расторгнуть договор", "asserted"),
        ("если не почините уйду", "asserted"),
        ("МТС достал перехожу на Билайн", "asserted"),
        ("сосед доволен и я хочу перейти к другому оператору", "asserted"),
        ("не уйду", "negated"),
        ("никуда от вас не уйду", "negated"),
        ("не собираюсь от вас уходить", "negated"),
        ("передумала расторгать договор", "negated"),
        ("давно бы перешел на другого провайдера, но менять не могу", None),
        ("был бы выбор - хотел уйти от вас бы давно", "negated"),
        ("друг ушёл к другому оператору", "third_party"),
        ("сосед хочет перейти к другому оператору", "third_party"),
        ("МТС уйдёт из Крыма", "third_party"),
        ("мне сказали «отключите номер» и всё", "quoted"),
        ('написали "перейду к другому оператору"', "quoted"),
        ("он пишет: “ухожу”", "quoted"),
        ("I am leaving", "asserted"),
        ("Cancel my contract please", "asserted"),
        ("I will switch to another operator", "asserted"),
        ("I’m not leaving", "negated"),
        ("I don't want to switch to another operator", "negated"),
        ("My friend left you last year", "third_party"),
        ("My neighbour wants to switch to another operator", "third_party"),
        ("your advert says “I am leaving them”", "quoted"),
        ("как отключить роуминг?", None),
        ("Сменили тариф без спроса", None),
        ("уходит по полчаса на загрузку", None),
        ("Please leave a comment about my tariff change", None),
        ("", None),
    ],
)
def test_verdicts(body: str, verdict: str | None) -> None:
    assert verdicts(body) == (set() if verdict is None else {verdict})


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


def seed_of(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "threat_phrases.csv"
    path.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n", encoding="utf-8")
    return path


def test_the_seed_language_of_phrases(tmp_path: Path) -> None:
    book = load_phrases(seed_of(tmp_path, "a,ru,увед* .. к|на @operator,any,7,2020-01-01,2026-01-01"))
    (hit,) = find_phrases("уведу всю свою семью на #Билайном", "ru", book)
    assert (hit.phrase_id, hit.rule_version, hit.start, hit.end) == ("a", "7", 0, 33)
    assert find_phrases("уведу всю свою большую дружную семью на билайн", "ru", book) == []
    assert [book.phrases[0].is_valid_on(book.phrases[0].valid_from.replace(year=y)) for y in (2019, 2020, 2026)] == [
        False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,kk,кетемін,any,1,2020-01-01,", "2: language is 'kk', allowed: ru, en"),
        ("a,ru,уйду,second,1,2020-01-01,", "2: person is 'second'"),
        ("a,ru,уйдём,first,1,2020-01-01,", "written with е for ё"),
        ("a,ru,.. уйду,first,1,2020-01-01,", "must start and end with words"),
        ("a,ru,уйду,first,1,01.01.2020,", "dates as 2025-01-31"),
        ("a,ru,уйду,first,1,2020-01-01,\na,ru,ухожу,first,1,2020-01-01,", "3: phrase_id a is there twice"),
    ],
)
def test_a_bad_seed_is_refused_by_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(PhrasesError, match=message):
        load_phrases(seed_of(tmp_path, row))


def test_the_version_changes_with_the_seed(tmp_path: Path) -> None:
    one = load_phrases(seed_of(tmp_path, "a,ru,уйду,first,1,2020-01-01,")).version
    assert load_phrases(seed_of(tmp_path, "a,ru,уйду,first,2,2020-01-01,")).version != one
