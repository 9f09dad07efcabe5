"""The whole line as its user sees it: the console command on a terminal, a real project, the real wire."""

import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.agent.scripted_server import ScriptedServer
from tests.support.review.real_project import git, real_project, tree
from tests.support.ui import journey
from tests.support.ui.terminal import Terminal

TIDEGATE = Path(sys.executable).with_name("tidegate")


def test_one_hunk_kept_one_rejected_and_the_rest_untouched(
    tmp_path: Path, scripted_server: Callable[..., ScriptedServer], home: Path
) -> None:
    root = real_project(tmp_path)
    before = tree(root)
    server = scripted_server(*journey.story())
    (home / "config").mkdir()
    (home / "config" / "settings.toml").write_text('mode = "auto"\n')

    with Terminal([TIDEGATE, root, "--model", server.url], tmp_path) as terminal:
        terminal.wait_for("Ask, or say what to change")
        terminal.type(journey.PROMPT).press("enter")
        terminal.wait_for(lambda text: "2 to review" in text and "working" not in text)
        terminal.press("f4")
        terminal.wait_for(lambda text: "0 of 2 decided" in text and "a keep" in text)
        terminal.press("a")
        terminal.wait_for("1 of 2 decided")
        terminal.press("x")
        terminal.wait_for("Review 2/2")
        terminal.press("c")
        terminal.wait_for("Ctrl+S commits")
        terminal.type("Say what becomes of bytes").press("ctrl+s")
        # What was rejected leaves a trace, from which it could come back.
        terminal.wait_for(lambda text: "Review 1/1" in text and "✗ rejected" in text)
        assert terminal.leave() == 0

    kept = before[journey.FILE].decode().replace(journey.GOOD_BEFORE, journey.GOOD_AFTER).encode()
    assert tree(root) == before | {journey.FILE: kept}
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "log", "--format=%s") == "Say what becomes of bytes\nImport click 8.5.1\n"
    assert git(root, "show", f"HEAD:{journey.FILE}").encode() == kept
