# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources that run a program: the Go module proxy and Strimzi's CRD generator."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from ansible_collections.aegis.infra.plugins.module_utils.catalog import (
    Artifact,
    ArtifactStore,
    Component,
    SourceUnavailable,
    load_release,
    sources,
)
from ansible_collections.aegis.infra.tests.unit.catalog.upstream import Server

RELEASES = Path(__file__).parents[3] / "releases"
MODULE = "github.com/pkg/errors@v0.9.1"
ANY = Artifact.model_validate({"name": "x", "sha256": "0" * 64, "sources": [{"url": "https://example.org/x"}]})
needs_go = pytest.mark.skipif(sources.find_go() is None, reason="the program go is not installed")


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


@needs_go
def test_go_module_is_downloaded_once_whatever_go_mod_is_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real module from the Go module proxy, from inside a folder whose go.mod is broken."""
    log = tmp_path / "log"
    script(tmp_path / "bin" / "go", f'echo "$@" >> {log}\nexec {sources.find_go()} "$@"\n')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GOFLAGS", "-modfile=other.mod")
    (tmp_path / "go.mod").write_text("this is no go.mod\n")
    monkeypatch.chdir(tmp_path)
    licence = sources.GoModuleSource(MODULE, "LICENSE").fetch(ANY)
    source = sources.GoModuleSource(MODULE, "errors.go").fetch(ANY)
    assert hashlib.sha256(licence).hexdigest() == "8d427fd87bc9579ea368fde3d49f9ca22eac857f91a9dec7e3004bdfab7dee86"
    assert hashlib.sha256(source).hexdigest() == "1b60ba5bcb417f0060d1c1fbcedaa1a702020499094ce8134f8b45a58c0ebbff"
    assert log.read_text().splitlines() == [f"mod download -json {MODULE}"]
    with pytest.raises(SourceUnavailable, match=r"no-such-file: No such file"):
        sources.GoModuleSource(MODULE, "no-such-file").fetch(ANY)
    with pytest.raises(SourceUnavailable, match="out of the module"):
        sources.GoModuleSource(MODULE, "../errors@v0.8.0/LICENSE").fetch(ANY)


@needs_go
def test_refused_go_module_says_why(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server.missing = 403
    monkeypatch.setenv("GOPROXY", server.url)
    monkeypatch.setenv("GOMODCACHE", str(tmp_path))
    for _ in range(2):
        with pytest.raises(SourceUnavailable, match=r"go mod download: .*example\.org/demo.*403"):
            sources.GoModuleSource("example.org/demo@v1.0.0", "x").fetch(ANY)
    assert len(server.requests) == 1


def test_missing_go_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "find_go", lambda: None)
    with pytest.raises(SourceUnavailable, match="the program go is not installed"):
        sources.GoModuleSource(MODULE, "LICENSE").fetch(ANY)


def fake_tools(folder: Path, monkeypatch: pytest.MonkeyPatch, java_version: str) -> Path:
    """A `java` that writes each class's name into its file, a `mvn` that finds a class path; returns java's log."""
    log = folder / "log"
    java = f"""
if [ "$1" = -version ]; then echo 'openjdk version "{java_version}"' >&2; exit 0; fi
echo "$@" >> {log}
for word in "$@"; do case "$word" in *=*.yaml) printf %s "${{word%%=*}}" > "${{word#*=}}";; esac; done
"""
    script(folder / "jdk" / "bin" / "java", java)
    script(
        folder / "bin" / "mvn",
        'for word in "$@"; do case "$word" in -Dmdep.outputFile=*) echo jars > "${word#*=}";; esac; done\n',
    )
    monkeypatch.setenv("JAVA_HOME", str(folder / "jdk"))
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/bin:/usr/bin")
    monkeypatch.setattr(sources, "_JAVA_FOLDER", folder / "none")
    return log


def strimzi_component() -> Component:
    def artifact(name: str) -> dict[str, object]:
        java_class = f"org.example.{name}"
        digest = hashlib.sha256(java_class.encode()).hexdigest()
        generator = {"strimzi_crd_generator": {"version": "1.2.0", "class": java_class}}
        return {"name": f"{name}.yaml", "sha256": digest, "sources": [generator]}

    artifacts = [artifact("Kafka"), artifact("KafkaTopic"), artifact("KafkaUser")]
    return Component.model_validate({"name": "kafka", "version": "1.2.0", "kubernetes": "any", "artifacts": artifacts})


def test_generator_makes_all_classes_in_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = fake_tools(tmp_path, monkeypatch, "21.0.4")
    component = strimzi_component()
    wanted = [(component, artifact) for artifact in component.artifacts]
    names = [b"org.example.Kafka", b"org.example.KafkaTopic", b"org.example.KafkaUser"]
    assert ArtifactStore(tmp_path / "cache").fetch_many(wanted) == names
    (run,) = log.read_text().splitlines()
    assert run.startswith("-cp jars io.strimzi.crdgenerator.CrdGenerator --label app:strimzi")
    assert "--api-versions v1 --storage-version v1 --yaml org.example.Kafka=/" in run


def test_old_java_or_no_maven_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tools(tmp_path, monkeypatch, "17.0.9")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    source = sources.StrimziGeneratorSource("1.2.0", "org.example.Kafka", ["org.example.Kafka"])
    with pytest.raises(SourceUnavailable, match=r"needs Java 21 or newer; found Java 17 \("):
        source.fetch(ANY)
    sources.forget()
    fake_tools(tmp_path, monkeypatch, "21.0.4")
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(SourceUnavailable, match=r"mvn \(Maven\) is not installed"):
        source.fetch(ANY)


def test_failing_maven_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tools(tmp_path, monkeypatch, "21.0.4")
    script(tmp_path / "bin" / "mvn", "printf '[\\033[1;31mERROR\\033[m] Could not resolve\\n'; exit 1\n")
    source = sources.StrimziGeneratorSource("1.2.0", "org.example.Kafka", ["org.example.Kafka"])
    with pytest.raises(SourceUnavailable, match="mvn: Could not resolve"):
        source.fetch(ANY)


@pytest.mark.skipif(os.environ.get("AEGIS_TEST_GENERATOR") != "1", reason="AEGIS_TEST_GENERATOR is not 1 (needs 30 s)")
@pytest.mark.skipif(shutil.which("mvn") is None, reason="the program mvn is not installed")
def test_real_generator_makes_the_pinned_bytes(tmp_path: Path) -> None:
    component = load_release("3.0", RELEASES).component("strimzi-kafka-operator")
    store = ArtifactStore(tmp_path, mirror="", offline_sources=["url"])
    wanted = [(component, artifact) for artifact in component.artifacts]
    assert [len(data) for data in store.fetch_many(wanted)] == [artifact.size for artifact in component.artifacts]
