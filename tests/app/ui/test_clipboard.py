"""Which program copies where, and that nothing is called copied that may not be."""

from pathlib import Path

import pytest

from app.ui.clipboard import clipboard_command, copied

ALL = ("pbcopy", "wl-copy", "xclip")
XCLIP = ("xclip", "-selection", "clipboard")


@pytest.mark.parametrize(
    ("platform", "environment", "installed", "command"),
    [
        ("darwin", {}, ALL, ("pbcopy",)),
        ("darwin", {"SSH_CONNECTION": "x"}, ALL, None),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, ALL, ("wl-copy",)),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, ("xclip",), XCLIP),
        ("linux", {"DISPLAY": ":0", "SSH_TTY": "/dev/pts/1"}, ALL, None),
        ("linux", {}, ALL, None),
    ],
)
def test_the_clipboard_is_that_of_the_machine_in_front_of_the_user(
    platform: str, environment: dict[str, str], installed: tuple[str, ...], command: tuple[str, ...] | None
) -> None:
    assert clipboard_command(environment, platform, lambda name: name if name in installed else None) == command


def test_only_what_a_program_took_is_copied(tmp_path: Path) -> None:
    file = tmp_path / "clipboard"
    assert copied("é\n", ("sh", "-c", f"cat > {file}"))
    assert file.read_text() == "é\n"
    assert not copied("x", ("false",))
    assert not copied("x", ("no-such-program",))
