"""When a schedule is due: five fields in UTC, as cron has them, or a word for the usual ones. Pure.

    minute hour day-of-month month day-of-week      * , - / and names (mon, jan); @hourly @daily @weekly @monthly
A time is due when all five fields match: unlike in classic cron, a day of the month and a day of the week are both asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from celery.schedules import ParseException, crontab

WORDS = {"@hourly": "0 * * * *", "@daily": "0 3 * * *", "@weekly": "0 3 * * sun", "@monthly": "0 3 1 * *"}
_FIELDS = 5
_LENGTH_MAX = 100
# Long enough for the 29th of February over a century's end; a cron line that is never due must end the search.
_DAYS_MAX = 366 * 9


class BadCron(ValueError):
    """It is no schedule; the words say what would be one."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed line."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def after(self, moment: datetime) -> datetime:
        """Return the first time that is due after a moment."""
        at = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        day = at.date()
        for _ in range(_DAYS_MAX):
            # Cron's week begins with Sunday as 0, Python's with Monday.
            if day.month in self.months and day.day in self.days and (day.weekday() + 1) % 7 in self.weekdays:
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        due = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                        if due >= at:
                            return due
            day += timedelta(days=1)
        raise BadCron("This schedule is never due: no such day exists.")


def parse(text: str) -> Cron:
    """Read a schedule. Raises ``BadCron``."""
    line = WORDS.get(text.strip(), text.strip())
    if len(line) > _LENGTH_MAX or len(line.split()) != _FIELDS:
        raise BadCron(
            f"{text[:60]!r} is not a schedule. Write five fields in UTC: minute hour day month weekday, such as "
            f"'30 2 * * mon', or one of {', '.join(WORDS)}."
        )
    try:
        found = crontab.from_string(line)
    except (ParseException, ValueError, KeyError) as error:
        raise BadCron(f"{text[:60]!r} is not a schedule: {error}.") from error
    made = Cron(
        frozenset(found.minute),
        frozenset(found.hour),
        frozenset(found.day_of_month),
        frozenset(found.month_of_year),
        frozenset(found.day_of_week),
    )
    made.after(datetime.now(UTC))
    return made
