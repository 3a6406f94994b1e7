"""Sends a message to whoever RETENTION_ALERT_URL names, through apprise. The URL is a secret: it is never repeated."""

import logging
import re

#: The environment variable with the receiver: one or more URLs as apprise reads them (mail, Slack, Telegram, JSON ...).
URL_VARIABLE = "RETENTION_ALERT_URL"


def deliver(url: str, title: str, message: str, mood: str = "info") -> tuple[str, str | None]:
    """Send to every receiver of `url`; returns the channels, and why it did not arrive everywhere (None: it did).

    `mood` is apprise's type of a message: info, success, warning or failure; channels colour by it.
    """
    import apprise

    heard = _Ears()
    noisy = [logging.getLogger(name) for name in ("apprise", "urllib3")]
    before = [(logger.level, logger.propagate) for logger in noisy]
    channels, problems = [], []
    try:
        # They log hosts, and at level DEBUG whole URLs.
        for logger in noisy:
            logger.setLevel(logging.WARNING)
            logger.propagate = False
            logger.addHandler(heard)
        receivers = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Retention"))
        if not receivers.add(url):
            problems.append(f"{URL_VARIABLE} holds what apprise does not read as a URL")
        for receiver in receivers:
            name = str(receiver.service_name)
            channels.append(name)
            heard.lines.clear()
            one = apprise.Apprise(asset=receivers.asset)
            one.add(receiver)
            type_of = apprise.NotifyType(mood)
            if not one.notify(message, title, type_of, body_format=apprise.NotifyFormat.TEXT):
                problems.append(f"{name}: {heard.reason()}")
    except Exception as error:  # noqa: BLE001 - a receiver's library must not end the night; the class says enough
        problems.append(f"{', '.join(channels) or 'apprise'}: {type(error).__name__}")
    finally:
        for logger, (level, propagate) in zip(noisy, before, strict=True):
            logger.removeHandler(heard)
            logger.setLevel(level)
            logger.propagate = propagate
    return ", ".join(channels), "; ".join(problems) or None


class _Ears(logging.Handler):
    """Hears what apprise says about a delivery, to tell the reason without the URL."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(record.getMessage())

    def reason(self) -> str:
        """Why nothing was delivered, as far as it can be told without quoting."""
        text = " ".join(self.lines)
        if code := re.search(r"error\s?[=:]\s?(\d{3})\b", text):
            return f"the receiver answered {code.group(1)}"
        if re.search(r"onnection|socket|timed? ?out", text, re.IGNORECASE):
            return "no connection to the receiver"
        return "not delivered"
