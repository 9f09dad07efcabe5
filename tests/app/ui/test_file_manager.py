"""Which command shows a file where the system shows files; not run, for it opens a window."""

from pathlib import Path

import pytest

from app.ui.file_manager import NoFileManager, reveal_command


def test_the_finder_selects_the_file_and_others_show_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    assert reveal_command(file, "darwin") == ["/usr/bin/open", "-R", str(file)]
    assert reveal_command(file, "linux", lambda name: f"/bin/{name}") == ["xdg-open", str(tmp_path)]
    with pytest.raises(NoFileManager, match="xdg-utils"):
        reveal_command(file, "linux", lambda _name: None)
