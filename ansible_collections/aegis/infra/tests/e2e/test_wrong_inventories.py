# SPDX-License-Identifier: GPL-3.0-or-later
"""A wrong inventory through the front door: ansible-playbook says what, where and what is allowed, and changes nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.aegis.infra.tests.conftest import run_playbook
from ansible_collections.aegis.infra.tests.wrong_inventories import FRONT_DOOR, Wrong

WHOLE = re.compile(r"The inventory has (\d+) problems?; nothing was changed\.")
SIX = {
    "cluster.yml": "aegis_cluster:\n  vpc_cidr: 10.0.0.0/33\n  node_configs:\n    data:\n      max_size: 1\n",
    "data_services.yml": "aegis_redis:\n  leaders: 1\naegis_kafka:\n  replicas: 2\n  storage:\n    size: 5\n",
    "zz_backup.yml": "# Nothing right here\naegis_backup:\n  schedule: daily\n",
}


@dataclass(frozen=True)
class Refusal:
    """What a run that had to fail left behind."""

    code: int
    output: str
    message: str
    state: Path
    group_vars: Path


def refused(folder: Path, files: dict[str, str], *arguments: str, environment: dict[str, str] | None = None) -> Refusal:
    """Run data.yml against a copy of inventories/local with `files` in, or appended to, its group_vars/aegis."""
    inventory = folder / "inventory"
    shutil.copytree(Path(__file__).parents[5] / "inventories" / "local", inventory)
    group_vars = inventory / "group_vars" / "aegis"
    for name, text in files.items():
        (group_vars / name).write_text(text, encoding="utf-8")
    run = run_playbook("data.yml", *arguments, state=folder / "state", inventory=inventory, environment=environment)
    message = run.output.partition("fatal: [localhost]")[2].partition("PLAY RECAP")[0].replace("''", "'")
    return Refusal(run.code, run.output, message, folder / "state", group_vars)


def changed_nothing(refusal: Refusal) -> None:
    """The run failed in its first task, and no cluster, kubeconfig or report came of it."""
    assert refusal.code != 0
    assert re.search(r"ok=1 +changed=0 +unreachable=0 +failed=1 ", refusal.output), refusal.output
    assert "aegis.infra.data_services" not in refusal.output
    left = {path.name for path in refusal.state.iterdir()} if refusal.state.exists() else set()
    assert left <= {"bin"}, "bin is the test's own link to the programs"


def problems(message: str) -> list[tuple[str, str]]:
    """(text, origin) of every problem in a message."""
    found = re.findall(r"^ +\d+\. (.*)\n(?: +at (.*)\n?)?", message, re.MULTILINE)
    count = WHOLE.search(message)
    assert count, message
    assert int(count[1]) == len(found), message
    return found


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Refusal]]]:
    """A run for every row whose test was selected, two at a time."""
    selected = [item.callspec.params.get("row") for item in request.session.items if hasattr(item, "callspec")]
    rows = [row for row in selected if isinstance(row, Wrong) and row in FRONT_DOOR]
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {
            row.id: pool.submit(
                refused, tmp_path_factory.mktemp(row.id), {"zy_given.yml": row.given, "zz_wrong.yml": row.overlay}
            )
            for row in rows
        }


@pytest.mark.parametrize("row", FRONT_DOOR, ids=lambda row: row.id)
def test_a_wrong_value(row: Wrong, runs: dict[str, Future[Refusal]]) -> None:
    refusal = runs[row.id].result()
    changed_nothing(refusal)
    ((text, origin),) = problems(refusal.message)
    assert re.match(re.escape(row.named) + r"( is .*)?: ", text), text
    assert row.allowed in text
    row.check_origin(origin, refusal.group_vars / "zz_wrong.yml")
    assert "hunter2" not in refusal.output


def test_everything_wrong_in_every_file_is_told_in_one_run(tmp_path: Path) -> None:
    refusal = refused(tmp_path, SIX)
    changed_nothing(refusal)
    found = [(text.split(" is ")[0], origin) for text, origin in problems(refusal.message)]
    assert found == [
        ("aegis_cluster.node_configs.data.max_size", f"{refusal.group_vars}/cluster.yml:5"),
        ("aegis_cluster.vpc_cidr", f"{refusal.group_vars}/cluster.yml:2"),
        ("aegis_backup.schedule", f"{refusal.group_vars}/zz_backup.yml:3"),
        ("aegis_redis.leaders", f"{refusal.group_vars}/data_services.yml:2"),
        ("aegis_kafka.replicas", f"{refusal.group_vars}/data_services.yml:4"),
        ("aegis_kafka.storage.size", f"{refusal.group_vars}/data_services.yml:6"),
    ]


def test_a_value_of_the_command_line(tmp_path: Path) -> None:
    refusal = refused(tmp_path, {}, "-e", '{"aegis_kafka": {"replicas": "4"}}')
    changed_nothing(refusal)
    ((text, origin),) = problems(refusal.message)
    assert text.startswith("aegis_kafka.replicas is '4': must be odd")
    assert origin == "the command line (-e)"


def test_a_file_of_the_command_line(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("# this time\naegis_kafka:\n  replicas: 4\n", encoding="utf-8")
    refusal = refused(tmp_path, {}, "-e", f"@{wrong}")
    changed_nothing(refusal)
    ((_, origin),) = problems(refusal.message)
    assert origin == f"{wrong}:3"


def test_without_merged_dictionaries_the_message_says_what_to_set(tmp_path: Path) -> None:
    refusal = refused(tmp_path, {}, environment={"ANSIBLE_HASH_BEHAVIOUR": "replace"})
    changed_nothing(refusal)
    message = " ".join(refusal.message.split())
    assert "set hash_behaviour = merge in the [defaults] of ansible.cfg" in message
    assert "are you in the project's folder?" in message
    assert "is missing" not in message, "one cause, one message"


def test_an_unknown_release_names_those_there_are(tmp_path: Path) -> None:
    refusal = refused(tmp_path, {"zz_wrong.yml": 'aegis_release: "9.9"\n'})
    changed_nothing(refusal)
    message = " ".join(refusal.message.split())
    assert re.search(r"there is no release '9\.9' in \S+/releases; there is .*3\.0", message), message


def test_check_mode_refuses_as_well(tmp_path: Path) -> None:
    refusal = refused(tmp_path, {"zz_wrong.yml": "aegis_kafka: {replicas: 4}\n"}, "--check")
    changed_nothing(refusal)
    assert "must be odd" in refusal.message


def test_no_tag_leads_around_the_check(tmp_path: Path) -> None:
    refusal = refused(tmp_path, {"zz_wrong.yml": "aegis_kafka: {replicas: 4}\n"}, "--tags", "redis")
    changed_nothing(refusal)
    assert "must be odd" in refusal.message
