"""Short Russian and English messages from templates. A message is one integer until it is written out.

code = ((register * 2 + language) * 64 + template) * 16 + topic) * 16 + detail, so that the state holds no text.
"""

from collections.abc import Sequence

import numpy as np

from retention.simulator.codes import NA, Array, Ints

# What the customer says about leaving (the truth beside each message) and other kinds of text.
NONE, THREAT, NEGATED, THIRD_PARTY, QUOTED, QUESTION, REPLY, AUTO_REPLY, PRAISE, BLAME, REVIEW = range(11)

TOPIC_WORDS = (
    ("нет сети", "пропадает мобильный интернет", "списали лишние деньги", "в роуминге ничего не работает",
     "сменили тариф без спроса", "в поддержке грубят", "номер не переносится", "модем не работает",
     "баланс", "тарифы", "справка", "претензия без ответа"),
    ("there is no network", "mobile internet keeps dropping", "I was charged twice", "roaming does not work",
     "my tariff was changed without asking", "support was rude", "my number is stuck in porting",
     "the modem is dead", "balance", "plans", "a certificate", "my claim was not answered"),
)  # fmt: skip
DETAILS = (
    ("второй день", "уже неделю", "с понедельника", "третий раз за месяц", "со вчерашнего вечера", "на даче", "в метро",
     "дома и на работе"),
    ("for two days", "for a week", "since Monday", "for the third time this month", "since last night",
     "at my country house", "in the metro", "at home and at work"),
)  # fmt: skip
# {t} topic, {d} detail. Russian first, then English.
TEMPLATES: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = {
    NONE: (
        (
            "Здравствуйте, {t} {d}. Разберитесь, пожалуйста.",
            "{d} {t}, сколько можно?",
            "Опять {t}. Жду ответа.",
            "Добрый день! У меня {t}, {d}. Помогите.",
            "{t} {d}, верните деньги за эти дни.",
            "Прошу зарегистрировать обращение: {t}, {d}.",
            "Почему {t}? Никто не объясняет.",
            "Звонил {d}, обещали решить, но {t}.",
        ),
        (
            "Hello, {t} {d}. Please fix it.",
            "{t} again, {d}. When will this end?",
            "Please help: {t}, {d}.",
            "I want to file a complaint: {t} {d}.",
            "Nobody explains why {t}.",
            "{t} {d}, I want my money back.",
        ),
    ),
    THREAT: (
        (
            "{t} {d}. Перейду к другому оператору.",
            "Всё, ухожу от вас: {t} {d}.",
            "{t}, {d}. Отключите номер!",
            "Если не решите, перейду к другому оператору. {t} {d}.",
            "Хочу расторгнуть договор, {t} {d}.",
            "{t} {d}, буду менять оператора.",
        ),
        (
            "{t} {d}. I am switching to another operator.",
            "I am leaving you: {t} {d}.",
            "{t} {d}. Cancel my contract.",
            "Disconnect my number, {t} {d}.",
        ),
    ),
    NEGATED: (
        (
            "Я от вас не уйду, но разберитесь: {t} {d}.",
            "{t} {d}. Не собираюсь менять оператора, просто почините.",
            "Уходить от вас не хочу, но {t} {d}.",
            "Не буду переходить к другому оператору, только {t} исправьте.",
        ),
        ("I am not leaving, but {t} {d}.", "{t} {d}. I do not want to switch to another operator, just fix it."),
    ),
    THIRD_PARTY: (
        (
            "{t} {d}. Друг ушёл к другому оператору из-за этого.",
            "У меня {t}, {d}. Сосед уже перешёл к другому оператору.",
            "Моя сестра ушла от вас, а у меня {t} {d}.",
        ),
        ("{t} {d}. My neighbour switched to another operator.", "My friend left you last year, and now {t} {d}."),
    ),
    QUOTED: (
        (
            "{t} {d}. Вы говорили: «уйдёте — вернётесь».",
            "{t}. Ваш сотрудник сказал: «не нравится — отключите номер».",
            "В рекламе у вас «перейду к другому оператору — пожалею», а {t} {d}.",
        ),
        (
            '{t} {d}. Your agent said: "switch to another operator if you like".',
            'Your advert says "I am leaving them for you", and {t} {d}.',
        ),
    ),
    QUESTION: (
        ("Подскажите, как узнать про {t}?", "Здравствуйте, интересует {t}.", "Где посмотреть {t} в приложении?"),
        ("How do I find out about {t}?", "Hello, a question about {t}."),
    ),
    REPLY: (
        (
            "Здравствуйте! Ваше обращение рассмотрено. Приносим извинения за неудобства.",
            "Причина найдена: авария на базовой станции. Восстановили {d}, компенсация начислена.",
            "Мы проверили начисления и вернули деньги на счёт.",
            "Спасибо за обращение! Оставайтесь с нами.",
            "Перенастроили профиль номера, проверьте, пожалуйста, связь.",
        ),
        (
            "Thank you for contacting us. We apologise for the inconvenience.",
            "The cause was a faulty base station, it is restored and you are compensated.",
            "We checked the bill and returned the money.",
        ),
    ),
    AUTO_REPLY: (
        ("Ваше обращение принято, ответим в ближайшее время.", "Спасибо! Обращение зарегистрировано."),
        ("Your message has been received, we will reply soon.",),
    ),
    PRAISE: (("Всё решили быстро, спасибо", "Вежливый специалист"), ("Solved quickly, thank you",)),
    BLAME: (("Вопрос не решён", "Долго ждал ответа", "Обещали и не сделали"), ("Not solved", "Waited too long")),
    REVIEW: (
        ("{t} {d}, не рекомендую.", "Связь хорошая, всё устраивает.", "Поддержка отвечает долго, {t}.", "Нормально."),
        ("{t} {d}, not recommended.", "Good coverage, no complaints."),
    ),
}
_COUNTS = np.array([[len(words) for words in TEMPLATES[register]] for register in range(len(TEMPLATES))])
FIRST_NAMES = ("Алексей", "Мария", "Иван", "Елена", "Дмитрий", "Ольга", "Сергей", "Анна", "Тимур", "Наталья")
LAST_NAMES = ("Кузнец", "Орлик", "Соловей", "Береза", "Ткач", "Гончар", "Мороз", "Лесник", "Бондарь", "Чайка", "Зима")
NAMES = len(FIRST_NAMES) * len(LAST_NAMES)


def compose(rng: np.random.Generator, register: Array, language: Array, topic: Array) -> Ints:
    """Codes of messages, one per element: template and detail are drawn, the rest is given."""
    count = len(register)
    template = (rng.random(count) * _COUNTS[register, language]).astype(np.int64)
    detail = rng.integers(0, len(DETAILS[0]), count)
    codes: Ints = ((((register.astype(np.int64) * 2 + language) * 64 + template) * 16) + topic) * 16 + detail
    return codes


def written(codes: Ints) -> list[str]:
    """Messages of the codes; NULL becomes the empty string."""
    unique, inverse = np.unique(codes, return_inverse=True)
    messages = ["" if code == NA else _message(int(code)) for code in unique.tolist()]
    return [messages[i] for i in inverse.tolist()]


def _message(code: int) -> str:
    code, detail = divmod(code, 16)
    code, topic = divmod(code, 16)
    code, template = divmod(code, 64)
    register, language = divmod(code, 2)
    text = TEMPLATES[register][language][template].format(t=TOPIC_WORDS[language][topic], d=DETAILS[language][detail])
    return text[0].upper() + text[1:]


def names(codes: Sequence[int]) -> list[str]:
    """Invented full names."""
    return [f"{FIRST_NAMES[c % len(FIRST_NAMES)]} {LAST_NAMES[c // len(FIRST_NAMES) % len(LAST_NAMES)]}" for c in codes]
