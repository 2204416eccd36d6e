# SPDX-License-Identifier: GPL-3.0-or-later
"""Cron schedules in a time zone, for schedulers that only know UTC."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

_ALL_HOURS = set(range(24))


def cron_in_utc(schedule: str, timezone: str) -> str:
    """`0 2 * * *` in Asia/Seoul as `0 17 * * *`.

    schedule: five fields. timezone: an IANA name. CloudNativePG evaluates schedules in its pod's
    zone, UTC, and its parser (robfig/cron 1.2) takes no zone. ValueError where UTC cannot say the
    same: a zone with daylight saving or part hours, or days that would move.
    """
    minute, _, *days = schedule.split()
    offset = _fixed_offset(timezone)
    hours = set(CronSim(schedule, datetime(2026, 1, 1)).hours)
    if offset == timedelta(0) or hours == _ALL_HOURS:
        return schedule
    shift = int(offset.total_seconds() // 3600)
    if any(not 0 <= number - shift < 24 for number in hours) and days != ["*", "*", "*"]:
        raise ValueError(f"falls on another day in UTC than in {timezone}, so its day fields must be '* * *'")
    shifted = sorted((number - shift) % 24 for number in hours)
    return " ".join([minute, ",".join(map(str, shifted)), *days])


def _fixed_offset(timezone: str) -> timedelta:
    zone = ZoneInfo(timezone)
    winter, summer = (datetime(2026, month, 1, tzinfo=zone).utcoffset() or timedelta(0) for month in (1, 7))
    if winter != summer:
        raise ValueError(f"cannot be said in UTC: {timezone} has daylight saving; use a zone without it, such as UTC")
    if winter.total_seconds() % 3600:
        raise ValueError(f"cannot be said in UTC: {timezone} is not whole hours from it")
    return winter
