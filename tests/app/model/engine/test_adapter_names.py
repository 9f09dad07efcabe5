"""An adapter is named, or its directory given: an engine that runs already finds it in either case."""

from pathlib import Path

import pytest

from app.model.engine.adapters import BadAdapter, adapter_name
from app.paths import adapters_directory


def adapter(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "adapter_config.json").write_text("{}")
    return directory


def test_a_directory_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    first, second = adapter(tmp_path / "one" / "mine"), adapter(tmp_path / "two" / "mine")
    assert adapter_name("") == "" and adapter_name("none") == "none" and adapter_name("mine") == "mine"
    for directory in (first, first, second):
        assert adapter_name(str(directory)) == "mine"
        assert (adapters_directory() / "mine").resolve() == directory
    assert adapter_name(str(adapter(adapters_directory() / "own"))) == "own"
    with pytest.raises(BadAdapter, match="another adapter is called own"):
        adapter_name(str(adapter(tmp_path / "three" / "own")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadAdapter, match="is no adapter"):
        adapter_name(str(tmp_path / "empty"))
