"""Sentiment, topics, their training and their file."""

import csv
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from retention.simulator import texts as simulated
from retention.text import evaluate, features, labels, model_file, sentiment, topic_words, topics, train
from retention.text.console import evaluate_here, train_here
from retention.text.seeds import SeedError

PROJECT = Path(__file__).resolve().parents[2]
SEEDS = PROJECT / "dbt_project" / "seeds"
WORDS = SEEDS / "topic_words.csv"
COMPLAINTS = [
    ("В подъезде не ловит связь, ужас", -1, "network_coverage"),
    ("Интернет отвратительно медленный", -1, "mobile_internet"),
    ("У меня списали лишние деньги, верните!", -1, "billing_dispute"),
    ("Спасибо, мастер приехал вовремя, всё отлично", 1, "service_quality"),
    ("Подскажите, какой у меня тариф?", 0, "question"),
    ("I was charged twice, this is awful", -1, "billing_dispute"),
    ("My mobile internet is terribly slow", -1, "mobile_internet"),
    ("How do I check my balance?", 0, "question"),
    ("Roaming does not work, terrible", -1, "roaming"),
    ("Great network, I am very happy", 1, "network_coverage"),
    ("Не рекомендую", -1, None),
    ("not good at all", -1, None),
]


def shipped_labels() -> list[labels.Label]:
    return labels.load_labels(labels.SHIPPED_LABELS, labels.known_topics(SEEDS / "topics.csv"))


def written(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("text", "feeling", "topic"), COMPLAINTS)
def test_plain_messages_of_both_languages(text: str, feeling: int, topic: str | None) -> None:
    ((said, value),) = sentiment.score([text])
    assert said == feeling
    assert -1 <= value <= 1
    assert topics.classify([text], words=WORDS)[0][0] == topic


def test_what_says_nothing_is_neutral_and_without_a_topic() -> None:
    blank = ["", "   ", "\n", "...", "—", "/ /"]
    assert sentiment.score(blank) == [(0, 0.0)] * len(blank)
    assert [topic for topic, _ in topics.classify(blank, words=WORDS)] == [None] * len(blank)
    assert sentiment.score([]) == [] == topics.classify([])
    assert topics.classify(["Сегодня вторник", "абвгд жзикл", "\x00\ufeff\u202e"])[0][0] is None


def test_emoji_and_smileys_count() -> None:
    assert [value for value, _ in sentiment.score(["😡", "👍", ":(", "связь :)))", "👎🏽👎🏽"])] == [-1, 1, -1, 1, -1]


def test_a_very_long_text_costs_no_more_than_its_beginning() -> None:
    begin = "интернет не работает! " * 1000
    assert sentiment.score([begin + "а" * 3_000_000]) == sentiment.score([begin])
    assert topics.classify(["🎈" * 1_000_000])[0][0] is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=8), st.integers(0, 7))
def test_any_text_is_read_and_the_same_in_any_batch(texts: list[str], cut: int) -> None:
    together = sentiment.score(texts), topics.classify(texts, words=WORDS)
    apart = (
        sentiment.score(texts[:cut]) + sentiment.score(texts[cut:]),
        topics.classify(texts[:cut], words=WORDS) + topics.classify(texts[cut:], words=WORDS),
    )
    assert together == apart


def test_sums_of_words_are_the_features_times_the_coefficients() -> None:
    model = model_file.load()
    texts = [label.text for label in shipped_labels()] + ["не очень хорошо и не плохо", "НЕ РАБОТАЕТ!!! не не работает"]
    random.Random(1).shuffle(texts)
    dense = np.zeros((features.ALL_BUCKETS, len(model.sentiment.classes)))
    dense[model.sentiment.buckets] = model.sentiment.coefficients
    margins = train.matrix(texts, model.signs) @ dense + model.sentiment.intercept
    powers = np.exp(margins)
    np.testing.assert_allclose(model.probabilities(texts)[0], powers / powers.sum(axis=1, keepdims=True), atol=1e-9)


def test_when_many_words_were_seen_they_are_forgotten_and_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text for text, _, _ in COMPLAINTS]
    wanted = sentiment.score(texts)
    monkeypatch.setattr("retention.text.linear.KEPT_WORDS", 3)
    for _ in range(2):
        assert [sentiment.score([text])[0] for text in texts] == wanted


def test_the_shipped_model_is_what_the_command_makes(tmp_path: Path) -> None:
    shipped = model_file.load()
    again = train.train(shipped_labels(), labels.load_signs(), tmp_path / "again.npz")
    train.train(shipped_labels(), labels.load_signs(), tmp_path / "third.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "third.npz").read_bytes()
    # Another machine may round the last step of a coefficient differently: not more than that.
    assert (again.about["labels"], again.signs) == (shipped.about["labels"], shipped.signs)
    for ours, theirs in ((again.sentiment, shipped.sentiment), (again.topic, shipped.topic)):
        assert ours.classes == theirs.classes
        assert set(ours.buckets) ^ set(theirs.buckets) == set()
        np.testing.assert_allclose(ours.coefficients, theirs.coefficients, atol=2 * model_file.STEP)


def test_the_file_is_numbers_only() -> None:
    with np.load(model_file.SHIPPED, allow_pickle=False) as arrays:
        assert {arrays[name].dtype.kind for name in arrays.files} <= {"i", "u"}


def test_on_the_simulators_messages_which_it_was_not_trained_on() -> None:
    """Complaints of the simulated operator: its templates are not among the labels, some wordings are alike."""
    wanted = ("network_coverage", "mobile_internet", "billing_dispute", "roaming", "tariff_change", "service_quality",
              "number_port", "device")  # fmt: skip
    rows = [
        (template.format(t=topic, d=simulated.DETAILS[language][0]), wanted[i])
        for language in (0, 1)
        for template in simulated.TEMPLATES[simulated.NONE][language]
        for i, topic in enumerate(simulated.TOPIC_WORDS[language][: len(wanted)])
    ]
    texts = [text for text, _ in rows]
    named = [topic for topic, _ in topics.classify(texts, words=WORDS)]
    assert np.mean([said == topic for said, (_, topic) in zip(named, rows, strict=True)]) >= 0.9
    assert np.mean([value == -1 for value, _ in sentiment.score(texts)]) >= 0.8


def test_an_operators_own_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = written(
        tmp_path / "own.csv",
        "id,text,sentiment,topic",
        *(f"{i},зюзюка не шуршит номер {i},{'+1' if i % 2 else '1'},device" for i in range(12)),
        "13,оценка есть темы нет,0,",
        "14,тема есть оценки нет,,none",
    )
    console = Console(width=200)
    train_here(PROJECT, tmp_path, own, None, console)
    model = tmp_path / "text_model.npz"
    assert f"{model_file.VARIABLE}={model}" in capsys.readouterr().out
    assert sentiment.score(["Зюзюка не шуршит!"], model)[0][0] == 1
    assert topics.classify(["Зюзюка не шуршит!"], model)[0][0] == "device"
    assert sentiment.model_version(model) != sentiment.model_version()
    assert "зюзюка" not in model.read_bytes().decode("latin-1")
    assert "зюзюка".encode() not in model.read_bytes()
    evaluate_here(PROJECT, own, model, console)
    shown = capsys.readouterr().out
    assert "device" in shown
    assert "зюзюка" not in shown


def test_labels_of_customers_do_not_become_the_shipped_model(tmp_path: Path) -> None:
    own = written(tmp_path / "own.csv", "text,sentiment,topic", "раз,1,device", "два,-1,none")
    before = model_file.SHIPPED.read_bytes()
    with pytest.raises(labels.LabelsError, match="only the shipped labels"):
        train_here(PROJECT, tmp_path, own, model_file.SHIPPED, Console())
    assert model_file.SHIPPED.read_bytes() == before


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("text,mood", "раз,1"), r"bad\.csv:1: no column sentiment, topic"),
        (("text,sentiment,topic", "раз,1,device", "два,sad,device"), r"bad\.csv:3: column sentiment"),
        (("text,sentiment,topic", "раз,1,gadgets"), r"bad\.csv:2: column topic .* device"),
        (("text,sentiment,topic", '"раз', 'два",0,none', ",0,none"), r"bad\.csv:4: column text"),
        (("text,sentiment,topic", "раз,0"), None),
        (("text,sentiment,topic",), "no labelled text"),
    ],
)
def test_wrong_labels_are_refused_by_line_and_column(
    tmp_path: Path, rows: tuple[str, ...], message: str | None
) -> None:
    bad = written(tmp_path / "bad.csv", *rows)
    known = labels.known_topics(SEEDS / "topics.csv")
    if message is None:
        assert labels.load_labels(bad, known) == [labels.Label("раз", "neutral", None)]
        return
    with pytest.raises(labels.LabelsError, match=message) as refused:
        labels.load_labels(bad, known)
    assert "раз" not in str(refused.value)
    assert "Nothing was trained" in str(refused.value)


def test_labels_that_are_no_csv_and_labels_of_one_kind(tmp_path: Path) -> None:
    known = labels.known_topics(SEEDS / "topics.csv")
    for content in (b"text,sentiment,topic\n\xff\xfe,1,none\n", b'text,sentiment,topic\n"a" b,1,none\n'):
        (tmp_path / "bad.csv").write_bytes(content)
        with pytest.raises(labels.LabelsError, match="no CSV in UTF-8"):
            labels.load_labels(tmp_path / "bad.csv", known)
    with pytest.raises(labels.LabelsError, match="no such file"):
        labels.load_labels(tmp_path / "absent.csv", known)
    with pytest.raises(labels.LabelsError, match="column sentiment says positive in every row"):
        train.train([labels.Label("раз", "positive", "device")] * 3, features.Signs(), tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()
    with pytest.raises(labels.LabelsError, match=r"words\.csv:2: column sign"):
        labels.load_signs(written(tmp_path / "words.csv", "word,sign", "ужас,bad"))


def test_a_file_that_is_no_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (b"", b"PK\x03\x04 half", b"\x80\x04K\x01."):
        path = tmp_path / f"{len(content)}.npz"
        path.write_bytes(content)
        with pytest.raises(model_file.ModelError, match=r"no model that can be read.*retention text train"):
            sentiment.score(["раз"], path)
    with pytest.raises(model_file.ModelError, match="FileNotFoundError"):
        topics.classify(["раз"], tmp_path / "absent.npz")
    old = tmp_path / "old.npz"
    old.write_bytes(model_file.SHIPPED.read_bytes())
    monkeypatch.setattr(features, "VERSION", features.VERSION + 1)
    with pytest.raises(model_file.ModelError, match="made for features of version"):
        sentiment.score(["раз"], old)


def test_which_model_is_used() -> None:
    assert model_file.model_path({}) == model_file.SHIPPED == model_file.model_path({model_file.VARIABLE: ""})
    assert model_file.model_path({model_file.VARIABLE: "/srv/own.npz"}) == Path("/srv/own.npz")


def test_each_topic_words_row_is_proved_by_its_example() -> None:
    book = topic_words.load_topic_words(WORDS)
    known = labels.known_topics(SEEDS / "topics.csv")
    with WORDS.open(encoding="utf-8", newline="") as stream:
        for i, row in enumerate(csv.DictReader(stream)):
            alone = topic_words.TopicWords((book.rows[i],))
            assert row["topic"] in known
            assert alone.find(row["example"]) == row["topic"], row
            assert book.find(row["example"]) == row["topic"], row
            assert topics.classify([row["example"]], words=WORDS)[0][0] == row["topic"], row


def test_a_topic_word_decides_where_the_model_is_not_sure(tmp_path: Path) -> None:
    text = "Что там с зюзюкой?"
    seed = written(tmp_path / "topic_words.csv", "topic,language,words,example", "device,ru,зюзюк*,Зюзюка молчит")
    sure = "Верните деньги, списали дважды, а зюзюка ни при чём"
    assert topics.classify([text])[0][0] != "device"
    assert topics.classify([text], words=seed)[0][0] == "device"
    assert topics.classify([sure], words=seed)[0][0] == "billing_dispute"
    assert topics.model_version(words=seed) != topics.model_version(words=WORDS) != topics.model_version()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("device,ru,Модем,Модем", r"topic_words\.csv:2: column words"),
        ("device,ru,абырвалг~,Абырвалг", "no lemma"),
        ("device,ru,а б в г,Модем", "4 words"),
        (",ru,модем,Модем", "column topic is empty"),
    ],
)
def test_wrong_topic_words_are_refused(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(SeedError, match=message):
        topic_words.load_topic_words(written(tmp_path / "topic_words.csv", "topic,language,words,example", row))


def test_figures_of_evaluate() -> None:
    scores = {one.name: one for one in evaluate.class_scores(["a", "a", "b"], ["a", "c", "a"])}
    assert (scores["a"].precision, scores["a"].recall, scores["a"].f1) == (0.5, 0.5, 0.5)
    assert (scores["b"].precision, scores["b"].recall, scores["b"].f1) == (None, 0.0, 0.0)
    assert (scores["c"].precision, scores["c"].recall) == (0.0, None)
