"""A gateway's own answers, as the platform's problem details (RFC 9457), in the reader's language.

The sentences are here in both languages instead of in the catalogue: they become part of a rendered file, which must
not change with the language, or with a catalogue that was not compiled.
"""

from __future__ import annotations

import msgspec

LANGUAGES = ("en", "ru")  # the last is the platform's default, for requests that accept neither
# Matches where "en" is accepted, and "ru" not before it.
PREFERS_ENGLISH = r"^([^r]|r[^u])*\ben\b.*$"
CONTENT_TYPE = "application/problem+json"
CHALLENGE = 'Bearer realm="landcontracts", error="invalid_token"'


class Refusal(msgspec.Struct, frozen=True):
    """An answer: its status, its code, and title and sentence by language."""

    status: int
    code: str
    title: dict[str, str]
    detail: dict[str, str]
    headers: dict[str, str] = {}

    def problem(self, language: str, instance: str) -> dict[str, object]:
        """The answer's body."""
        return {
            "type": f"urn:landcontracts:problem:{self.code}",
            "title": self.title[language],
            "status": self.status,
            "detail": self.detail[language],
            "code": self.code,
            "instance": instance,
        }


UNAUTHENTICATED = Refusal(
    401,
    "authentication_failed",
    {"en": "Not signed in", "ru": "Вход не выполнен"},
    {"en": "The access token is not valid or has expired.", "ru": "Токен доступа недействителен или истёк."},
    {"www-authenticate": CHALLENGE},
)
NOT_FOUND = Refusal(
    404,
    "not_found",
    {"en": "Not found", "ru": "Не найдено"},
    {"en": "There is nothing here.", "ru": "Здесь ничего нет."},
)
TOO_LARGE = Refusal(
    413,
    "body_too_large",
    {"en": "Too large", "ru": "Слишком большой размер"},
    {"en": "The body is too large.", "ru": "Тело запроса слишком велико."},
)
TOO_MANY = Refusal(
    429,
    "rate_limited",
    {"en": "Too many requests", "ru": "Слишком много запросов"},
    {
        "en": "Too many requests came from your address. Please wait.",
        "ru": "С вашего адреса пришло слишком много запросов. Подождите немного.",
    },
)
AGAIN = {
    "en": "Please try again; under the same Idempotency-Key nothing happens twice.",
    "ru": "Повторите попытку: с тем же Idempotency-Key ничего не произойдёт дважды.",
}
UNAVAILABLE = Refusal(
    503,
    "service_unavailable",
    {"en": "Service unavailable", "ru": "Служба недоступна"},
    {"en": f"The service does not answer. {AGAIN['en']}", "ru": f"Служба не отвечает. {AGAIN['ru']}"},
    {"retry-after": "1"},
)
REFUSALS = (
    Refusal(
        400,
        "malformed_request",
        {"en": "Malformed request", "ru": "Некорректный запрос"},
        {"en": "The request is malformed.", "ru": "Запрос составлен неверно."},
    ),
    UNAUTHENTICATED,
    NOT_FOUND,
    Refusal(
        408,
        "request_timeout",
        {"en": "Request timeout", "ru": "Время ожидания запроса истекло"},
        {"en": "The request took too long to arrive.", "ru": "Запрос передавался слишком долго."},
    ),
    TOO_LARGE,
    TOO_MANY,
    Refusal(
        431,
        "headers_too_large",
        {"en": "Headers too large", "ru": "Слишком большие заголовки"},
        {"en": "The request's headers are too large.", "ru": "Заголовки запроса слишком велики."},
    ),
    Refusal(
        502,
        "bad_gateway",
        {"en": "Bad gateway", "ru": "Ошибка шлюза"},
        {
            "en": f"The service answered unintelligibly. {AGAIN['en']}",
            "ru": f"Ответ службы не разобрать. {AGAIN['ru']}",
        },
    ),
    UNAVAILABLE,
    Refusal(
        504,
        "gateway_timeout",
        {"en": "No answer in time", "ru": "Ответ не получен вовремя"},
        {"en": f"The service took too long. {AGAIN['en']}", "ru": f"Служба отвечает слишком долго. {AGAIN['ru']}"},
    ),
)
