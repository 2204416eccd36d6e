# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators that are slow, and operators that fail."""

from __future__ import annotations

import json
from typing import Any

from .conftest import Platform


def simulation(**operators: dict[str, Any]) -> str:
    return json.dumps(
        {"aegis_cluster": {"simulation": {"operators": {name.replace("_", "-"): how for name, how in operators.items()}}}}
    )


def test_a_failing_operator_ends_the_run_early_with_the_reason(platform: Platform) -> None:
    how = ["-e", simulation(redis_operator={"fail": "unable to reach leader 2"}), "-e", '{"aegis_redis": {"wait_timeout": 600}}']
    platform.cluster.kubectl("delete", "rediscluster", "aegis-redis", "-n", "aegis-data", "--wait=true")
    try:
        run = platform.play("site.yml", *how)
        assert run.code != 0
        assert "RedisCluster aegis-data/aegis-redis" in run.output
        assert "unable to reach leader 2" in run.output
        assert "event Warning" in run.output
        assert "not ready after 600 s" not in run.output
    finally:
        platform.play("site.yml").ok()


def test_a_failing_kafka_blocks_what_needs_it(platform: Platform) -> None:
    how = ["-e", simulation(strimzi_kafka_operator={"fail": "no quorum of controllers"})]
    platform.cluster.kubectl("delete", "kafka", "aegis-kafka", "-n", "aegis-data", "--wait=true")
    try:
        run = platform.play("site.yml", *how)
        assert run.code != 0
        assert "condition NotReady=True" in run.output
        assert "no quorum of controllers" in run.output
        assert "schema-registry: not started: kafka failed" in run.output
    finally:
        platform.play("site.yml").ok()


def test_a_slow_operator_shows_progress(platform: Platform) -> None:
    platform.cluster.kubectl("delete", "cluster.postgresql.cnpg.io", "aegis-postgresql", "-n", "aegis-data", "--wait=true")
    try:
        run = platform.play("site.yml", "-e", simulation(cloudnative_pg={"delay": "12s"})).ok()
        waiting = [
            line for line in run.output.splitlines() if "waiting" in line and "Cluster aegis-data/aegis-postgresql" in line
        ]
        assert len(waiting) >= 2, run.output
    finally:
        platform.play("site.yml").ok()
