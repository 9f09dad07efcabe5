"""What the model is told first: short, always the same, and in terms that it knows."""

from datetime import date
from pathlib import Path

import pytest

from app.agent.prompt.prompt import SYSTEM_PROMPT, TurnFacts, project_instructions, user_message
from app.agent.tools.toolbox import TOOLS, specifications
from app.workspace.model import FileStatus, RepositoryStatus
from tests.support.places import REFERENCE

TOKENIZER = REFERENCE / "qwen3-tokenizer" / "tokenizer.json"
TEMPLATE = REFERENCE / "qwen3-coder.chat_template.jinja"


@pytest.mark.skipif(not TOKENIZER.exists(), reason="the reference tokenizer is not here")
def test_system_prompt_and_tools_take_at_most_2500_tokens() -> None:
    jinja2 = pytest.importorskip("jinja2")
    tokenizers = pytest.importorskip("tokenizers")
    template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(TEMPLATE.read_text())
    text = template.render(
        messages=[{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": ""}],
        tools=[specification.to_wire() for specification in specifications()],
    )
    tokens = tokenizers.Tokenizer.from_file(str(TOKENIZER)).encode(text).ids
    assert all(f"<name>{name}</name>" in text for name in TOOLS)
    assert 500 < len(tokens) <= 2500


def test_the_tools_have_the_names_and_arguments_that_the_model_was_trained_with() -> None:
    shapes = {
        specification.name: (
            set(specification.parameters["properties"]) - set(specification.parameters.get("required", ())),
            set(specification.parameters.get("required", ())),
        )
        for specification in specifications()
    }
    assert shapes == {
        "read_file": ({"offset", "limit"}, {"file_path"}),
        "edit": ({"replace_all"}, {"file_path", "old_string", "new_string"}),
        "write_file": (set(), {"file_path", "content"}),
        "glob": ({"path"}, {"pattern"}),
        "grep_search": ({"glob", "path", "limit"}, {"pattern"}),
        "list_directory": ({"path", "ignore"}, set()),
        "run_shell_command": ({"is_background", "timeout", "description", "directory"}, {"command"}),
        "todo_write": (set(), {"todos"}),
        "task": ({"description"}, {"prompt"}),
        # Ours alone, and so in few words.
        "review_note": ({"at", "text", "comment", "done", "order"}, set()),
    }


def test_what_changes_rides_with_the_turn(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("Use tabs.\n" + "x" * 30_000)
    files = {f"f{n}": FileStatus(worktree="modified") for n in range(30)}
    status = RepositoryStatus(None, "abc", operation="rebase", files=files)
    instructions = project_instructions(tmp_path)
    text = user_message(
        "Do.",
        TurnFacts(tmp_path, "ask", status, date(2026, 11, 23), (("a", "pending"),), instructions=instructions),
    )
    assert text.startswith("<context>\nMonday 2026-11-23.") and text.endswith("</context>\n\nDo.")
    for part in ("detached head, rebase under way", "f0 (modified)", "and 10 more", "a [pending]", "Use tabs."):
        assert part in text
    assert len(text) < 20_000 and "read it with read_file" in text
    assert "2026" not in SYSTEM_PROMPT and str(tmp_path) not in SYSTEM_PROMPT
    assert project_instructions(tmp_path / "nowhere") == ""
