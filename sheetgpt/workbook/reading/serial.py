"""Dates and durations, as files spell them, as the numbers that spreadsheet programs keep: days since 1899-12-30."""

from __future__ import annotations

import re

import numpy as np

FIRST_DAY = np.datetime64("1899-12-30", "D")
DATE = re.compile(r"((-?\d{4,6})-\d\d-\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d(?:[.,]\d*)?))?)?Z?")
DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:[.,]\d*)?)S)?)?")
LAST_YEAR = 32_766  # LibreOffice writes its last day where a number lies beyond it, and its first one likewise
SECONDS = 86_400


def serial_in(text: str) -> float | None:
    """The number of a date or duration; None where it is none or lies beyond the calendar.

    >>> serial_in("1899-12-30T11:24:58.9439171"), serial_in("1899-12-29T16:48:00"), serial_in("2021-01-01")
    (0.47568222126273146, -0.30000000000000004, 44197.0)
    >>> serial_in("PT11H24M58.943917078S"), serial_in("-PT07H12M00S"), serial_in("32767-12-31"), serial_in("P")
    (0.4756822212624769, -0.3, None, 0.0)
    """
    date, duration = DATE.fullmatch(text), DURATION.fullmatch(text)
    if date:
        day, year, *clock = date.groups()
        if abs(int(year)) > LAST_YEAR:
            return None
        days = days_to(day)
        return None if days is None else days + seconds_in(*clock) / SECONDS
    if duration:
        sign, whole, *clock = duration.groups()
        number = float(whole or 0) + seconds_in(*clock) / SECONDS
        return -number if sign else number
    return None


def seconds_in(hours: str | None, minutes: str | None, seconds: str | None) -> float:
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float((seconds or "0").replace(",", "."))


def days_to(day: str) -> float | None:
    """Days from the first one; numpy's calendar, unlike Python's, goes back beyond the year 1. None where it is no day.

    >>> days_to("1899-12-31"), days_to("-0001-01-01")
    (1.0, -694324.0)
    """
    try:
        return float((np.datetime64(day, "D") - FIRST_DAY).astype(int))
    except ValueError:
        return None
