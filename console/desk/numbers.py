"""Numbers as their reader writes them: *1.284*, *97,8 %*, *2:24 min*. Nothing measured is *–*."""

NOTHING = "–"
_DECIMAL = {"es": ",", "en": ".", "pt": ","}
_THOUSANDS = {"es": ".", "en": ",", "pt": "."}
_PERCENT = {"es": "\xa0%", "en": "%", "pt": "%"}
_DAYS = {"es": "días", "en": "days", "pt": "dias"}
_DAY = 86_400


class Numbers:
    """Of one language."""

    def __init__(self, language: str) -> None:
        self._decimal = _DECIMAL[language]
        self._thousands = _THOUSANDS[language]
        self._percent = _PERCENT[language]
        self._days = _DAYS[language]

    def count(self, n: int) -> str:
        """*1.284*."""
        return f"{n:,}".replace(",", self._thousands)

    def decimal(self, value: float, places: int = 1) -> str:
        """*2,8*; a minus sign is a real one."""
        return f"{value:.{places}f}".replace(".", self._decimal).replace("-", "−")

    def share(self, part: int, whole: int) -> str:
        """*43,8 %*."""
        return NOTHING if not whole else self.decimal(100 * part / whole) + self._percent

    def growth(self, now: int, before: int) -> str:
        """*+6,4 %*."""
        return NOTHING if not before else self._signed(100 * (now - before) / before) + self._percent

    def points(self, difference: float | None) -> str:
        """*−3,1*: the difference of two shares, which are fractions of one."""
        return NOTHING if difference is None else self._signed(100 * difference)

    def score(self, value: float | None) -> str:
        """*+41*: the NPS, a whole number from −100 to 100."""
        if value is None:
            return NOTHING
        whole = round(value)
        return ("+" if whole > 0 else "") + self.decimal(whole, 0)

    def wait(self, seconds: float | None) -> str:
        """*0,4 s*, *12 s*, *2:24 min*, *3:05 h*, *2,5 días*."""
        return NOTHING if seconds is None else "\xa0".join(self.parts(seconds))

    def parts(self, seconds: float) -> tuple[str, str]:
        """The number and its unit."""
        if seconds < 9.95:
            return self.decimal(seconds), "s"
        if (whole := round(seconds)) < 60:
            return str(whole), "s"
        if whole < 3600:
            return f"{whole // 60}:{whole % 60:02}", "min"
        minutes = round(seconds / 60)
        if minutes < 48 * 60:
            return f"{minutes // 60}:{minutes % 60:02}", "h"
        return self.decimal(seconds / _DAY), self._days

    def _signed(self, value: float) -> str:
        rounded = round(value, 1) + 0.0  # no minus before a zero
        return ("+" if rounded > 0 else "") + self.decimal(rounded)
