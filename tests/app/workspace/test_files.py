"""Files of every kind are looked at safely, and names and matches come out right."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from app.workspace.errors import WorkspaceError, WriteRefused
from app.workspace.files.reading import NotReadable, read_bytes
from app.workspace.files.writing import write_bytes
from app.workspace.search.ripgrep import files_with, list_files
from app.workspace.workspace import Workspace

is_root = os.geteuid() == 0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "build").mkdir()
    (root / ".git").mkdir()
    (root / ".gitignore").write_text("build/\n*.log\n!keep.log\n")
    (root / "src" / ".gitignore").write_text("/secret.txt\n")
    for name in (
        "b.py",
        "A.py",
        "x.log",
        "keep.log",
        "src/secret.txt",
        "src/é ü.txt",
        "build/out",
        ".git/HEAD",
    ):
        (root / name).write_text("needle\n")
    return root


@pytest.mark.parametrize("name", ["app/[slug]/page.tsx", "app/{a}/page.tsx", "app/a*b/page.tsx"])
def test_a_name_with_the_signs_of_patterns_is_found_by_itself(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True)
    (root / name).write_text("needle\n")
    assert list_files(root, root, [name]) == (name,)
    assert files_with(root, "needle", [name]) == (name,)


def test_listing_is_sorted_and_knows_what_is_ignored(root: Path) -> None:
    workspace = Workspace(root)
    entries = workspace.list_directory()
    assert [entry.name for entry in entries] == [
        "build",
        "src",
        ".gitignore",
        "A.py",
        "b.py",
        "keep.log",
        "x.log",
    ]
    assert [entry.name for entry in entries if entry.is_ignored] == ["build", "x.log"]
    assert [entry.path for entry in workspace.list_directory("src") if entry.is_ignored] == ["src/secret.txt"]
    assert all(entry.is_ignored for entry in workspace.list_directory("build"))
    for path in ("gone", "b.py"):
        with pytest.raises(WorkspaceError):
            workspace.list_directory(path)


def test_ignore_rules_agree_with_git(root: Path) -> None:
    subprocess.run(["rm", "-r", root / ".git"], check=True)
    (root / "src" / "deep" / "er").mkdir(parents=True)
    (root / ".gitignore").write_text(
        "*.log\n!keep.log\n/build\nsrc/**/tmp\nsrc/deep/*\n!src/deep/er/\n\\#x\ntrail \n"
    )
    (root / "src" / "deep" / ".gitignore").write_text("!*.log\n*.py\n")
    names = [
        "a.log", "keep.log", "build/x", "src/build/x", "src/deep/tmp/y", "src/deep/z.log", "src/deep/er/q.log",
        "src/deep/er/p.py", "#x", "trail", "src/deep/er/keep.txt", "build.txt",
    ]  # fmt: skip
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    subprocess.run(["git", "init", "-q", root], check=True)
    said = subprocess.run(
        ["git", "check-ignore", "-z", "--stdin"],
        cwd=root,
        input="\0".join(names).encode(),
        stdout=-1,
        check=False,
    ).stdout
    ignored = {os.fsdecode(name) for name in said.split(b"\0") if name}
    ours = Workspace(root).rules
    assert {name for name in names if ours.is_ignored(name, is_directory=False)} == ignored
    assert 3 < len(ignored) < len(names)
    # ripgrep, which lists and searches, is of the same mind.
    assert set(names) - set(Workspace(root).files()) == ignored


def test_files_and_matches(root: Path) -> None:
    workspace = Workspace(root)
    names = [".gitignore", "A.py", "b.py", "keep.log", "src/.gitignore", "src/é ü.txt"]
    assert list(workspace.files()) == names
    assert list(workspace.files(globs=["*.py"])) == ["A.py", "b.py"]
    (root / "b.py").write_text("é needle, needle\n" + "x" * 900 + "needle\n")
    result = workspace.search("need(le)", globs=["*.py"])
    assert [(match.path, match.line) for match in result.matches] == [("A.py", 1), ("b.py", 1), ("b.py", 2)]
    assert [result.matches[1].text[start:end] for start, end in result.matches[1].spans] == ["needle", "needle"]
    assert len(result.matches[2].text) == 500 and result.matches[2].spans == ()
    assert result.is_complete
    few = workspace.search("needle", limit=2)
    assert len(few.matches) == 2 and not few.is_complete
    assert workspace.search("(", is_literal=True).matches == ()
    with pytest.raises(WorkspaceError, match="unclosed"):
        workspace.search("(")
    assert workspace.files(globs=["["]) == ()
    # A glob never brings back what is ignored, nor git's own files.
    assert (
        workspace.files(globs=["**/*"]) == workspace.files() == workspace.files(globs=["*.{py,log,txt}", ".*"])
    )
    assert workspace.files(globs=["src/*.txt"]) == ("src/é ü.txt",)
    assert not workspace.search("needle", globs=["x.log", "HEAD", "build/*"]).matches
    assert [match.path for match in workspace.search("needle", globs=["src/**"]).matches] == ["src/é ü.txt"]


def test_nothing_that_is_no_text_is_shown_and_nothing_blocks(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(root)
    os.mkfifo(root / "pipe")
    (root / "dir").mkdir()
    (root / "binary").write_bytes(b"\x7fELF\0\1\2")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nowhere")
    (root / "zero").symlink_to("/dev/zero")
    (root / "huge").touch()
    os.truncate(root / "huge", 10**12)
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(root)
        listener.bind("sock")
        said = {
            name: workspace.read_document(name)
            for name in (
                "pipe",
                "dir",
                "binary",
                "loop",
                "dangling",
                "zero",
                "huge",
                "sock",
                "gone",
                "b.py/x",
                "a\0b",
            )
        }
    assert all(document.text is None and document.notice for document in said.values())
    assert "named pipe" in said["pipe"].notice
    assert "1.0 TB" in said["huge"].notice
    assert "character device" in said["zero"].notice
    assert "does not exist" in said["gone"].notice
    assert "leads nowhere" in said["dangling"].notice
    assert "back to itself" in said["loop"].notice
    with pytest.raises(NotReadable):
        read_bytes(root / "pipe", "pipe")
    assert "pipe" in [entry.name for entry in workspace.list_directory()]


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        (b"", ("", "utf-8", False, "\n")),
        (b"a\r\nb\r\n", ("a\nb\n", "utf-8", False, "\r\n")),
        (b"\xef\xbb\xbfa\n", ("a\n", "utf-8", True, "\n")),
        ("é\r".encode("utf-16"), ("é\n", "utf-16-le", True, "\r")),
        ("“é”\n".encode("cp1252"), ("“é”\n", "cp1252", False, "\n")),
        *(
            (text.encode(encoding), (text, encoding, False, "\n"))
            for encoding, text in (
                ("gb18030", "# 读取配置文件\ndef main():\n    # 打印所有的用户名称\n"),
                ("gb18030", "// 中文\n"),
                ("cp932", "# 設定ファイルを読み込む\n"),
                ("cp932", "ファイル = 1\n"),
                ("euc_jp", "# すべてのユーザー名を表示する\n"),
                ("euc_kr", "# 설정 파일을 읽습니다\n"),
                ("big5", "# 讀取設定檔案，你好，世界\n"),
                ("cp1251", "# читаем файл настроек\n"),
                ("cp1252", "na\u00efve caf\u00e9 \u2014 5 \u20ac\n"),
            )
        ),
    ],
)
def test_encodings(root: Path, data: bytes, facts: tuple[str, str, bool, str]) -> None:
    (root / "f").write_bytes(data)
    document = Workspace(root).read_document("f")
    assert (document.text, document.encoding, document.has_bom, document.line_ending) == facts


def test_an_encoding_that_cannot_be_told_is_not_guessed(root: Path) -> None:
    (root / "f").write_bytes("Zażółć gęślą jaźń\n".encode("cp1250"))
    document = Workspace(root).read_document("f")
    assert document.text is None
    assert document.notice == "f is text in an encoding that cannot be told, of 18 bytes"


def test_where_paths_lead(root: Path, tmp_path: Path) -> None:
    workspace = Workspace(root)
    (root / "out").symlink_to(tmp_path)
    (root / "in").symlink_to("src")
    for path, expected, is_inside in (
        ("src/../b.py", "b.py", True),
        (str(root / "b.py"), "b.py", True),
        ("in/new.txt", "src/new.txt", True),
        (".", "", True),
        ("out/x", str(tmp_path.resolve() / "x"), False),
        ("..", str(tmp_path.resolve()), False),
        (str(root) + "-other", str(root.resolve()) + "-other", False),
    ):
        found = workspace.locate(path)
        assert (found.path, found.is_inside) == (expected, is_inside)
    with pytest.raises(WorkspaceError):
        workspace.locate("a\0b")
    for wrong in (root / "b.py", root / "gone"):
        with pytest.raises(WorkspaceError):
            Workspace(wrong)


def test_writing_is_all_or_nothing_and_keeps_the_mode(root: Path) -> None:
    script = root / "run.sh"
    script.write_text("old")
    script.chmod(0o755)
    (root / "link").symlink_to("run.sh")
    write_bytes(root / "link", b"new")
    assert (
        (root / "link").is_symlink()
        and script.read_bytes() == b"new"
        and script.stat().st_mode & 0o777 == 0o755
    )
    write_bytes(root / "a/b/c", b"made")
    mask = os.umask(0o077)
    os.umask(mask)
    assert (root / "a/b/c").stat().st_mode & 0o777 == 0o666 & ~mask
    for wrong in (root / "src", root / "b.py" / "x", root / "a\0"):
        with pytest.raises(WriteRefused):
            write_bytes(wrong, b"x")
    assert not list(root.rglob("*.tidegate-tmp"))


@pytest.mark.skipif(is_root, reason="root may write and read everything")
def test_permissions_are_respected(root: Path) -> None:
    (root / "b.py").chmod(0o000)
    assert "may not be read" in Workspace(root).read_document("b.py").notice
    with pytest.raises(WriteRefused, match="write-protected"):
        write_bytes(root / "b.py", b"x")
