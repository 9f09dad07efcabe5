"""Which command runs the tests."""

from pathlib import Path

import pytest

from app.testing.command import configured_command, found_commands


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"Makefile": "test: build\n\tpytest\n", "go.mod": "module m\n"}, "make test"),
        ({"Makefile": "test := nothing\n", "go.mod": "module m\n"}, "go test ./..."),
        ({"justfile": "test filter='':\n  cargo test\n"}, "just test"),
        ({"package.json": '{"scripts": {"test": "vitest run"}}', "pnpm-lock.yaml": ""}, "pnpm test"),
        ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, None),
        ({"package.json": "{"}, None),
        ({"Cargo.toml": ""}, "cargo test"),
        (
            {"pyproject.toml": "[tool.pytest.ini_options]\n", ".venv/bin/python": ""},
            ".venv/bin/python -m pytest",
        ),
        (
            {"pyproject.toml": '[dependency-groups]\ndev = ["pytest>=8"]\n', "uv.lock": ""},
            "uv run python -m pytest",
        ),
        ({"tests/conftest.py": ""}, "python3 -m pytest"),
        ({"tests/test_a.py": ""}, "python3 -m unittest discover -s tests"),
        ({"README.md": "pytest"}, None),
    ],
)
def test_the_command_is_what_the_project_says(tmp_path: Path, files: dict[str, str], line: str | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = found_commands(tmp_path)
    assert (found[0].line if found else None) == line


def test_the_settings_speak_for_a_folder_and_all_in_it(tmp_path: Path) -> None:
    inner = tmp_path / "one" / "inner"
    inner.mkdir(parents=True)
    commands = {str(tmp_path): "outer", str(tmp_path / "one"): "nearer", str(tmp_path / "two"): "other"}
    command = configured_command(inner, commands)
    assert command is not None and command.line == "nearer"
    assert configured_command(tmp_path.parent, commands) is None
