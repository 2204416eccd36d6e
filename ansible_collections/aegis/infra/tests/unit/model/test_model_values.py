# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantities, schedules, and where a value was written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from ansible.parsing.dataloader import DataLoader
from cronsim import CronSim

from ansible_collections.aegis.infra.plugins.module_utils.model import origin
from ansible_collections.aegis.infra.plugins.module_utils.model.fields import quantity_value
from ansible_collections.aegis.infra.plugins.module_utils.model.schedule import cron_in_utc


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("2", 2),
        ("0.5", Decimal("0.5")),
        ("500m", Decimal("0.5")),
        ("100u", Decimal("0.0001")),
        ("1n", Decimal("1e-9")),
        ("1k", 1000),
        ("1Ki", 1024),
        ("1M", 10**6),
        ("512Mi", 512 * 1024**2),
        ("1.5Gi", 3 * 2**29),
        ("1G", 10**9),
        ("1T", 10**12),
        ("1Ti", 2**40),
        ("1P", 10**15),
        ("1Pi", 2**50),
        ("1E", 10**18),
        ("1Ei", 2**60),
    ],
)
def test_quantity(text: str, value: int | Decimal) -> None:
    assert quantity_value(text) == value


@pytest.mark.parametrize("text", ["", "Gi", "1gi", "1K", "1KI", "1 Gi", "-1", "+1", "1.", ".5", "1,5", "1GB", "1Gi\n", "1e3x"])
def test_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="must be a Kubernetes quantity such as 500m"):
        quantity_value(text)


@pytest.mark.parametrize(
    ("schedule", "zone", "expected"),
    [
        ("0 2 * * *", "UTC", "0 2 * * *"),
        ("0 2 * * 1", "UTC", "0 2 * * 1"),
        ("0 2 * * *", "Asia/Seoul", "0 17 * * *"),
        ("30 12 * * *", "Asia/Seoul", "30 3 * * *"),
        ("0 9 * * *", "Asia/Seoul", "0 0 * * *"),
        ("0 12 * * 1-5", "Asia/Seoul", "0 3 * * 1-5"),
        ("0 12 1 * *", "Asia/Seoul", "0 3 1 * *"),
        ("0 8,20 * * *", "Asia/Seoul", "0 11,23 * * *"),
        ("0 9-17 * * 1", "Asia/Seoul", "0 0,1,2,3,4,5,6,7,8 * * 1"),
        ("*/5 */6 * * *", "Asia/Seoul", "*/5 3,9,15,21 * * *"),
        ("15 * * * 1", "Asia/Seoul", "15 * * * 1"),
        ("0 20 * * *", "America/Phoenix", "0 3 * * *"),
        ("0 5 * * 1", "America/Phoenix", "0 12 * * 1"),
    ],
)
def test_a_schedule_in_utc(schedule: str, zone: str, expected: str) -> None:
    assert cron_in_utc(schedule, zone) == expected


@pytest.mark.parametrize(
    "schedule", ["0 2 * * *", "30 8,20 * * *", "*/20 */5 * * *", "0 9-17 * * 1-5", "0 12 15 * *", "7 * * * *"]
)
@pytest.mark.parametrize("zone", ["Asia/Seoul", "Asia/Dubai", "UTC"])
def test_the_moments_stay_the_same(schedule: str, zone: str) -> None:
    """Cron of the zone and cron of UTC, run through a month by an independent simulator."""
    start = datetime(2026, 3, 1, tzinfo=ZoneInfo(zone))
    end = start + timedelta(days=31)
    here, there = CronSim(schedule, start), CronSim(cron_in_utc(schedule, zone), start.astimezone(UTC))
    local: list[datetime] = []
    utc: list[datetime] = []
    for cron, found in ((here, local), (there, utc)):
        while (moment := next(cron)) < end:
            found.append(moment.astimezone(UTC))
    assert local == utc
    assert local


@pytest.mark.parametrize(
    ("schedule", "zone", "reason"),
    [
        ("0 2 * * 1", "Asia/Seoul", "falls on another day in UTC than in Asia/Seoul, so its day fields must be"),
        ("0 2 1 * *", "Asia/Seoul", "falls on another day"),
        ("0 2 * 6 *", "Asia/Seoul", "falls on another day"),
        ("0 8,12 * * 1", "Asia/Seoul", "falls on another day"),
        ("0 20 * * 1", "America/Phoenix", "falls on another day"),
        ("0 2 * * *", "Europe/Berlin", "Europe/Berlin has daylight saving"),
        ("0 2 * * *", "America/Santiago", "has daylight saving"),
        ("0 2 * * *", "Asia/Kolkata", "is not whole hours"),
    ],
)
def test_a_schedule_that_utc_cannot_say(schedule: str, zone: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        cron_in_utc(schedule, zone)


def test_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    value = DataLoader().load("\n- a", file_name="/inventory/hosts.yml")[0]
    assert origin.origin_of(value) == "/inventory/hosts.yml:2"
    assert origin.origin_of("untagged") == ""
    assert origin.origin_of(None) == ""
    monkeypatch.setattr(origin, "Origin", None)
    assert origin.origin_of(value) == "", "another ansible-core: no origin, but no error either"
