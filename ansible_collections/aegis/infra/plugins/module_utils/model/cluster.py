# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster and its node pools (`aegis_cluster`)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from .fields import Cidr, DnsLabel, DnsName, Quantity, Section, SettingValue, Size, matching, number_as_text


class Provider(StrEnum):
    """Where the cluster comes from."""

    LOCAL = "local"
    EXISTING = "existing"


# YAML reads 1.36 as a number.
KubernetesVersion = Annotated[
    str, BeforeValidator(number_as_text), matching(r"\d+\.\d+\.\d+", "must be a full Kubernetes version such as 1.36.3")
]
Delay = Annotated[str, matching(r"\d+(ms|s|m)", "must be a whole number with the unit ms, s or m, for example 30s")]


class Taint(Section):
    """A taint of every node of a pool."""

    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class NodeConfig(Section):
    """A node pool. `cpu` and `memory` say what one node offers."""

    min_size: int = Field(ge=1, le=1000)
    max_size: int = Field(ge=1, le=1000)
    instance_type: str
    cpu: Quantity
    memory: Size
    disk_size: Size
    labels: dict[str, SettingValue] = {}
    taints: list[Taint] = []

    @field_validator("max_size")
    @classmethod
    def _not_below_min(cls, value: int, info: ValidationInfo) -> int:
        minimum = info.data.get("min_size")
        if minimum is not None and value < minimum:
            raise ValueError(f"must be at least min_size ({minimum})")
        return value


class ClusterConfig(Section):
    """A Kubernetes cluster, whoever provides it."""

    cluster_name: DnsLabel
    provider: Provider
    kubernetes_version: KubernetesVersion
    region: DnsLabel
    availability_zones: list[DnsLabel] = Field(min_length=2)
    kubeconfig: str = Field(min_length=1)
    context: str = ""
    node_configs: dict[DnsLabel, NodeConfig] = {}

    vpc_cidr: Cidr = "10.0.0.0/16"
    pod_cidr: Cidr = "10.244.0.0/16"
    service_cidr: Cidr = "10.96.0.0/16"

    enable_istio: bool = True
    enable_monitoring: bool = True
    enable_logging: bool = True
    enable_backup: bool = True

    # Only for provider local: how the embedded cluster plays its operators.
    simulation: SimulationConfig | None = None

    @field_validator("availability_zones")
    @classmethod
    def _zones_once(cls, value: list[str]) -> list[str]:
        repeated = sorted({zone for zone in value if value.count(zone) > 1})
        if repeated:
            raise ValueError(f"names {', '.join(repeated)} more than once; every zone must be named once")
        return value

    @field_validator("node_configs", mode="before")
    @classmethod
    def _null_removes_a_pool(cls, value: Any) -> Any:
        """An overlay merges into the base, so null is how it leaves a pool out."""
        return {name: pool for name, pool in value.items() if pool is not None} if isinstance(value, dict) else value


class SimulatedOperator(Section):
    """How one operator of the embedded cluster behaves: slow, or failing with a message."""

    delay: Delay | None = None
    fail: str | None = None


class SimulationConfig(Section):
    """How the embedded cluster plays its operators."""

    delay: Delay | None = None
    operators: dict[DnsName, SimulatedOperator] = {}


ClusterConfig.model_rebuild()
