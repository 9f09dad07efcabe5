"""The engine on a machine where MLX's backend is missing says so in one sentence."""

import subprocess
import sys
from pathlib import Path


def test_one_sentence_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx" / "__init__.py").touch()
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    code += "; from mlx_model.__main__ import main; sys.exit(main())"
    said = subprocess.run(
        [sys.executable, "-c", code, "generate", "--model", "x", "--prompt", "y"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2
    assert len(said.stderr.splitlines()) == 1 and "MLX is not installed" in said.stderr
