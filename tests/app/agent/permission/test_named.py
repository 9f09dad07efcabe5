"""Which files a command names: what it is about to touch is copied first, also where git ignores it."""

from pathlib import Path

import pytest

from app.agent.permission.commands.named import named_files


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("rm .env", [".env"]),
        ("> .env", [".env"]),
        ("mv .env sub/kept", [".env"]),
        ("sed -i s/a/b/ .env sub/b.log", [".env", "sub/b.log"]),
        ("env A=1 gzip sub/b.log", ["sub/b.log"]),
        ("cd sub && rm b.log", ["sub", "sub/b.log"]),
        ("rm -f *.log sub/*.log .e*", [".env", "a.log", "sub/b.log"]),
        ("dd of=.env", [".env"]),
        ("rm -r sub ../outside no-such", ["sub"]),
        ("echo hello", []),
    ],
)
def test_files_by_path_pattern_and_redirection(command: str, expected: list[str], tmp_path: Path) -> None:
    root = tmp_path / "work"
    (root / "sub").mkdir(parents=True)
    for name in (".env", "a.log", "sub/b.log", "../outside"):
        (root / name).write_text("x")
    assert list(named_files(command, root, root)) == expected
