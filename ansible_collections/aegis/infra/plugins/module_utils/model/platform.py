# SPDX-License-Identifier: GPL-3.0-or-later
"""What concerns the platform as a whole: names, namespaces, operators, backups."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from .fields import Cron, DnsLabel, DnsName, Section, matching


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError("must be a time zone of the IANA database such as Asia/Seoul") from error
    return value


BucketUrl = Annotated[
    str, matching(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?", "must be a bucket URL such as s3://aegis-backups")
]
EndpointUrl = Annotated[
    str, matching(r"(https?://\S+)?", "must be an http(s) URL such as https://minio.example.com, or empty for AWS")
]


class PlatformConfig(Section):
    """Names that every layer uses."""

    name: DnsLabel
    team: DnsLabel
    environment: Literal["local", "dev", "staging", "production"]
    domain: DnsName
    timezone: Annotated[str, AfterValidator(_time_zone)] = "UTC"


class NamespaceConfig(Section):
    """A namespace of the platform and the Pod Security level it enforces."""

    pod_security: Literal["restricted", "baseline", "privileged"] = "restricted"


class OperatorsConfig(Section):
    """How operators are installed."""

    install: Literal["full", "crds"]
    replicas: int = Field(default=2, ge=1, le=5)


class BackupConfig(Section):
    """Where backups go, when, and how long they are kept."""

    enabled: bool = True
    schedule: Cron = "0 2 * * *"
    retention_days: int = Field(default=30, ge=1, le=3650)
    storage_location: BucketUrl
    region: str
    endpoint_url: EndpointUrl = ""
    credentials_secret: DnsName
    include_namespaces: list[DnsLabel] = []
    exclude_resources: list[DnsName] = []
    rto_hours: int = Field(default=2, ge=1)
    rpo_minutes: int = Field(default=15, ge=1)
