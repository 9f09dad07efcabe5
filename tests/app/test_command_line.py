"""The command line itself: bad input is one sentence and exit 2, and little is imported before it is needed."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import main
from app.commands.table import COMMANDS
from app.commands.workspace import _place
from app.ui.keys.actions import ACTIONS
from tests.support.patience import LONGEST
from tests.support.places import ROOT

HEAVY = {"mlx", "mlx_lm", "mlx_model", "transformers", "torch", "huggingface_hub", "tokenizers"}


def tidegate(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
        **options,
    )


def make_engineless_model(directory: Path) -> None:
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps({"model_type": "qwen3_next"}))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{tmp}/absent"], "does not exist"),
        (["--model", "{tmp}/empty"], "is no model"),
        (["--model", "~no-such-user/absent"], "there is no model"),
        (["run", "Go", "-C", "~no-such-user/absent"], "is not a directory"),
        (["run", "Go", "--model", "{tmp}/empty"], "is no model"),
        (["run", "Go", "--model", "http://127.0.0.1:9/v1"], "no server answers"),
        (["run", "Go"], "No model was found"),
        (["run", ""], "nothing to do"),
        (["run", "Go", "--mode", "yolo"], "invalid choice"),
        (["model", "fetch", "nonsense"], "is no repository name"),
        (["."], "needs a terminal"),
        (["--bogus"], "unrecognized arguments"),
        (["--model", "{tmp}/empty", "run", "Go"], "goes first"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    tmp_path: Path, monkeypatch, capsys, arguments: list[str], says: str
):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    make_engineless_model(tmp_path / "empty")
    try:
        status = main([argument.format(tmp=tmp_path) for argument in arguments])
    except SystemExit as end:  # argparse's way
        status = end.code
    said = capsys.readouterr()
    assert status == 2
    assert says in said.err.splitlines()[-1]
    assert said.out == ""


def test_a_directory_that_is_gone_is_told(tmp_path: Path):
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        f"import os; os.rmdir({str(gone)!r}); from app.cli import main; raise SystemExit(main(['run', 'Go']))"
    )
    said = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=gone,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2 and "has been removed" in said.stderr and "Traceback" not in said.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["app.cli", "model", "list"], "tidegate"),
        (["mlx_model", "info", "--model", str(ROOT / "assets" / "practice-model")], "mlx_model info"),
    ],
)
def test_a_full_disk_behind_standard_output_is_told(line: list[str], said: str):
    with Path("/dev/full").open("w") as full:
        line = [sys.executable, "-P", "-m", *line]
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (1, f"{said}: No space left on device\n")


def test_broken_settings_are_told_before_anything_else(home: Path):
    (home / "config").mkdir()
    (home / "config" / "settings.toml").write_text("modle = 1")
    said = tidegate("run", "Go")
    assert said.returncode == 2 and "no setting" in said.stderr


def test_the_workspace_imports_neither_the_engine_nor_the_hub():
    code = (
        "import sys, app.cli, app.ui.app, app.commands.headless\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(said.stdout.split())
    code = "import sys, app.cli; print(*{name.split('.')[0] for name in sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"textual", "httpx2", "git"} & set(said.stdout.split())


def test_a_git_that_only_stands_for_its_installer_is_missing(tmp_path: Path, monkeypatch):
    stand_in = tmp_path / "git"
    stand_in.write_text("#!/bin/sh\necho 'xcode-select: note: No developer tools were found' >&2\nexit 1\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    said = tidegate("doctor")
    (line,) = (line for line in said.stdout.splitlines() if line.split()[1] == "git")
    assert said.returncode == 1 and line.startswith("missing") and "No developer tools" in line


def test_doctor_tells_facts_and_what_is_missing(tmp_path: Path, monkeypatch, scripted_server):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    said = tidegate("doctor")
    facts = {line.split()[1]: line.split()[0] for line in said.stdout.splitlines()}
    assert said.returncode == 1 and facts["model"] == "missing" and facts["git"] == facts["python"] == "ok"
    said = tidegate("doctor", "--model", "http://127.0.0.1:9/v1")
    assert said.returncode == 1 and "no server answers" in said.stdout
    said = tidegate("doctor", "--model", scripted_server().url)
    assert said.returncode == 0 and "scripted at http" in said.stdout, said.stdout


def test_models_are_listed_with_what_fits(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    said = tidegate("model", "list")
    assert said.returncode == 0 and "44.8 GB" in said.stdout and "84.7 GB" in said.stdout


def test_a_reader_that_leaves_is_no_crash(tmp_path: Path):
    said = subprocess.run(
        f"{sys.executable} -m app.cli model list | true; {sys.executable} -m app.cli --help | true",
        shell=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert "Traceback" not in said.stderr


def test_a_file_opens_the_repository_that_it_lies_in(tmp_path: Path) -> None:
    file = tmp_path / "project" / "src" / "a.py"
    file.parent.mkdir(parents=True)
    file.write_text("")
    assert _place(str(file)) == (file.parent, file)
    (tmp_path / "project" / ".git").mkdir()
    assert _place(str(file)) == (tmp_path / "project", file)
    assert _place(str(file.parent)) == (file.parent, None)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["reveiw"], "did you mean tidegate review?"),
        (["kyes"], "did you mean tidegate keys?"),
        (["run", "x", "--outptu-format", "json"], "Did you mean --output-format?"),
        (["doctor", "kyes"], "Did you mean keys?"),
        (["model", "fecth"], "Did you mean fetch?"),
        (["--mdoel", "x"], "Did you mean --model"),
        (["something/else"], "does not exist: name a directory, a file or a command"),
    ],
)
def test_a_mistyped_word_is_answered_with_what_was_meant(
    given: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(given)
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert meant in capsys.readouterr().err


def test_a_shell_completes_commands_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("zsh", "fish", "bash"):
        assert main(["completions", shell]) == 0
        said = capsys.readouterr().out
        assert all(name in said for name in COMMANDS)
    script = tmp_path / "completions.bash"
    script.write_text(said)

    def completed(*words: str) -> list[str]:
        line = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _shtab_tidegate"
        line = f'source {script}; {line}; echo "${{COMPREPLY[@]}}"'
        return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout.split()

    assert completed("tidegate", "re") == ["review"]
    assert "--model" in completed("tidegate", "run", "--m")
    assert completed("tidegate", "ke") == ["keys"] and completed("tidegate", "keys", "--j") == ["--json"]
    assert completed("tidegate", "run", "--mode", "a") == ["auto", "ask"]
    assert completed("tidegate", "model", "f") == ["fit", "fetch"]


def test_keys_are_printed_as_the_keymap_has_them(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "config").mkdir()
    (home / "config" / "keymap.toml").write_text('[keys]\n"review.keep" = ["f7", "shift+f7"]\n')
    assert main(["keys"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (kept,) = (line for line in lines if line.endswith(" review.keep"))
    assert kept.split("  ")[1] == "F7 Shift+F7 *"
    assert main(["keys", "--json"]) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert list(listed) == [action.id for action in ACTIONS]
    assert listed["review.keep"]["keys"] == ["f7", "shift+f7"]
    assert all(one["keys"] == one["default_keys"] for name, one in listed.items() if name != "review.keep")


def test_the_help_of_the_measurements_names_all_of_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handed: list[list[str]] = []

    def hand_over(given: list[str]) -> None:
        handed.append(given)
        raise SystemExit(0)

    monkeypatch.setattr("app.commands.bench.become_engine", hand_over)
    for given in ([], ["--help"]):
        with pytest.raises(SystemExit):
            main(["bench", *given])
        said = capsys.readouterr().out
        assert all(name in said for name in ("review", "ui", "edits", "practice"))
    assert handed == [["bench", "--help"]] * 2
