"""Words around a phrase of leaving that say whose and how serious it is: negation, unreal condition, third party.

Regular expressions over text that `find.normalise` made: lower case, `е` for `ё`, straight apostrophes.
"""

import re

#: Competitors and providers by the names subscribers use; `@operator` in the phrases seed. Prefixes end with *.
OPERATORS = (
    "билайн*", "мтс", "мегафон*", "теле2", "йот*", "йоте", "ростелеком*", "дом.ру", "киевстар*", "лайф*", "велком*",
    "beeline*", "megafon*", "mts", "tele2", "t2", "т2", "yota", "tinkoff", "тинькофф*", "rostelecom", "vodafone",
)  # fmt: skip

#: Where the influence of a word ends.
CLAUSE_END = re.compile(r"[.!?;,:()\n…]|\s[-–—]\s")

_RU_FILLER = (
    "больше|пока|вообще|никуда|никогда|от|вас|вам|к|ним|еще|сейчас|тоже|даже|никому|совсем|точно|ни|мы|я|этого|ради"
)
_RU_INTENT = (
    "собира\\w+|хоч\\w+|хот\\w+|буд\\w+|стан\\w+|планир\\w+|намер\\w+|дума\\w+|надо|нужно|стоит|смог\\w*|мог\\w*|"
    "прос\\w+|советую|нуждаюсь|вижу смысла"
)
#: `не уйду`, `никогда от вас не уйду`: only directly before a first-person form, which has its own subject and verb.
RU_NEGATED_DIRECTLY = re.compile(r"\b(?:не|нет|ни)\s+(?:к\s+\w+\s+)?$")
#: `не собираюсь от вас уходить`, `передумал расторгать договор`.
RU_NEGATED_INTENT = re.compile(
    rf"\b(?:не\s+(?:(?:{_RU_FILLER})\s+)*(?:{_RU_INTENT})|(?:пере|раз)думал\w*|зачем|нет\s+(?:желания|смысла|планов))"
    rf"\s+(?:(?:{_RU_FILLER})\s+){{0,3}}$"
)
#: `уходить от вас не хочу`.
RU_NEGATED_AFTER = re.compile(r"^(?:\s+\w+){0,2}\s+не\s+(?:хоч|хот|буд|собира|планир|намерен|дума|стан)")
RU_NEGATED_INSIDE = re.compile(r"\bне\b")
#: `давно бы ушел`, `была бы альтернатива - ушел бы`; a polite `хотел бы расторгнуть` is a request, not a dream.
RU_CONTRARY_BEFORE = re.compile(
    r"(?<!хотел )(?<!хотела )(?<!хотели )(?<!хотелось )(?<!просил )\bбы?\s+(?:\w+\s+){0,3}$"
)
RU_CONTRARY_AFTER = re.compile(r"^\s+(?:\w+\s+)?бы?\b")

_EN_FILLER = (
    "going|gonna|to|planning|plan|plans|want|wanting|wish|will|be|thinking|think|about|of|intend|intending|even|"
    "actually|really|currently|looking|any|intention|i|am|i'm|we|are|like|need|need|trying|consider|considering|just"
)
EN_NEGATED = re.compile(rf"\b(?:not|never|no|cannot|\w+n't|without|nor)\s+(?:(?:{_EN_FILLER})\s+){{0,5}}$")
EN_NEGATED_INSIDE = re.compile(r"\b(?:not|never|\w+n't)\b")
EN_CONTRARY_BEFORE = re.compile(r"\bwould(?:'ve| have)\s+(?:\w+\s+){0,1}$")

_RU_OTHERS = (
    "друг|подруга|друзья|сосед|соседи|соседка|коллега|коллеги|брат|сестра|муж|жена|мама|мать|отец|папа|сын|дочь|дочка|"
    "теща|свекровь|бабушка|дедушка|родители|родственник\\w*|знаком(?:ый|ая|ые)|клиент|клиенты|абонент|абоненты|"
    "пользователи|люди|народ|многие|некоторые|"
    "все(?! больше| чаще| еще| же| равно)|половина|они|он|она|кто-то|кто|компания|компании|провайдер|"
    "министр|роскомнадзор|правительство|оператор"
)
_RU_OPERATOR_NAMES = "мтс(?:-украина)?|билайн|мегафон|теле2|tele2|yota|ростелеком|beeline|megafon|евросеть|связной"
_EN_OTHERS = (
    "friend|friends|neighbou?rs?|wife|husband|brother|sister|colleagues?|mother|father|mom|dad|parents|son|daughter|"
    "he|she|they|people|everyone|everybody|someone|somebody|customers|subscribers|many|others|company|who|mts|beeline|"
    "megafon|tele2"
)
#: Another subject in the clause; an operator's name only in the nominative: not after a preposition.
RU_OTHER_SUBJECT = re.compile(
    rf"\b(?:{_RU_OTHERS})\b"
    rf"|(?<!\bот )(?<!\bс )(?<!\bиз )(?<!\bна )(?<!\bв )(?<!\bк )(?<!\bу )\b(?:{_RU_OPERATOR_NAMES})\b"
)
EN_OTHER_SUBJECT = re.compile(rf"\b(?:{_EN_OTHERS})\b")
#: The writer speaks of himself after that subject: `сосед доволен и я хочу перейти`.
RU_OWN_SUBJECT = re.compile(
    r"\b(?:я|мы|мне|нам|хочу|хотим|буду|будем|решил\w*|решаю|думаю|думаем|подумываю|подумываем|задумываюсь|собираюсь|собираемся|планирую|планируем|"
    r"намерен\w*|требую|прошу|просим|вынужден\w*|пора|надо|нужно|придется|осталось|остается)\b"
)
EN_OWN_SUBJECT = re.compile(r"\b(?:i|we|i'm|i'll|i've|i'd|we're|we'll|we've|me|my account|please)\b")
