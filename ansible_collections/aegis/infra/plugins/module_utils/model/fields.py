# SPDX-License-Identifier: GPL-3.0-or-later
"""Field types that more than one section of the model uses."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

# Suffixes of resource.Quantity,
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_SUFFIX = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}


class Section(BaseModel):
    """Base of every model: unknown keys are errors, values cannot change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @field_validator("*", mode="before")
    @classmethod
    def _yes_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """pydantic would read `true` as 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is int:
            raise ValueError("must be a whole number, not true or false")
        return value


def quantity_value(text: str) -> Decimal:
    """The number a Kubernetes quantity stands for (cores, bytes); ValueError when it is none."""
    match = _QUANTITY.fullmatch(text)
    if not match:
        raise ValueError("must be a Kubernetes quantity such as 500m, 2, 512Mi or 100Gi")
    return Decimal(match.group(1)) * _SUFFIX[match.group(2) or ""]


def _quantity(value: str) -> str:
    quantity_value(value)
    return value


def _positive_size(value: str) -> str:
    if quantity_value(value) < 1024**2:
        raise ValueError("must be at least 1Mi; sizes need a unit, for example 100Gi")
    return value


def number_as_text(value: Any) -> Any:
    """YAML reads `cpu: 1` as a number; Kubernetes wants the text."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _setting(value: Any) -> str:
    """Settings of PostgreSQL and Redis are text for their operators, whatever YAML made of them."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError('must be text or a number; quote what YAML reads as true, false or null: "on"')
    return str(value)


def _scalar(value: Any) -> Any:
    if not isinstance(value, (str, int, float, bool)):
        raise ValueError("must be text, a number, true or false")
    return value


def _cidr(value: str) -> str:
    try:
        if "/" not in value:
            raise ValueError("the prefix length is missing")
        ipaddress.ip_network(value, strict=True)
    except ValueError as error:
        raise ValueError(f"must be a network in CIDR form such as 10.0.0.0/16 ({error})") from error
    return value


def _cron(value: str) -> str:
    if len(value.split()) != 5:
        raise ValueError("must be a cron expression of five fields: minute hour day month weekday")
    try:
        CronSim(value, datetime(2026, 1, 1))
    except CronSimError as error:
        raise ValueError(f"must be a cron expression such as '0 2 * * *' ({error})") from error
    return value


def _dns_label(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", value):
        raise ValueError("must be a DNS label: lower-case letters, digits and '-', at most 63 characters")
    return value


def _dns_name(value: str) -> str:
    for label in value.split("."):
        _dns_label(label)
    return value


def matching(pattern: str, allowed: str) -> AfterValidator:
    """Text that `pattern` matches as a whole; `allowed` says in words what that is."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(allowed)
        return value

    return AfterValidator(check)


Quantity = Annotated[str, BeforeValidator(number_as_text), AfterValidator(_quantity)]
Size = Annotated[str, BeforeValidator(number_as_text), AfterValidator(_positive_size)]
Cidr = Annotated[str, AfterValidator(_cidr)]
Cron = Annotated[str, AfterValidator(_cron)]
DnsLabel = Annotated[str, AfterValidator(_dns_label)]
DnsName = Annotated[str, AfterValidator(_dns_name)]
Seconds = Annotated[int, Field(ge=10, le=7200, description="seconds")]
SettingValue = Annotated[str, BeforeValidator(_setting)]
Scalar = Annotated[str | int | float | bool, BeforeValidator(_scalar)]


class ResourceList(Section):
    """Amounts of CPU (cores) and memory (bytes)."""

    cpu: Quantity | None = None
    memory: Size | None = None


class Resources(Section):
    """What a container asks for and may use at most."""

    requests: ResourceList = ResourceList()
    limits: ResourceList = ResourceList()

    def problems(self) -> list[tuple[str, str]]:
        """(key, message) for every amount whose request is larger than its limit."""
        found = []
        for key in ("cpu", "memory"):
            request, limit = getattr(self.requests, key), getattr(self.limits, key)
            if request and limit and quantity_value(request) > quantity_value(limit):
                found.append((f"requests.{key}", f"must not be larger than limits.{key} ({limit})"))
        return found


class Storage(Section):
    """A persistent volume of each instance."""

    size: Size
    storage_class: DnsName = "fast-ssd"
