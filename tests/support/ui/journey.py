"""The one story that the journeys tell: an agent mends two places in a real project and runs its tests."""

from tests.support.agent.scripted_server import Reply, call, reply
from tests.support.review.real_project import TEST_COMMAND

FILE = "src/click/utils.py"

GOOD_BEFORE = '"""Converts a value into a valid string."""'
GOOD_AFTER = '"""Convert a value into a string, decoding bytes as the file system does."""'

# A change that nobody asked for and that the project's own tests refuse.
BAD_BEFORE = 'return textwrap.shorten(text, max_length, placeholder="...", break_on_hyphens=False)'
BAD_AFTER = 'return textwrap.shorten(text, max_length, placeholder="…", break_on_hyphens=False)'

PROMPT = "Say in make_str's docstring what becomes of bytes, and tidy up the file."
LAST_WORDS = "Two places changed in utils.py; see for yourself what the tests say."


def story() -> tuple[Reply, ...]:
    """What the scripted model answers, request by request: it reads, edits twice, runs the tests, and ends."""
    return (
        reply("I will read the file first.", call("read_file", file_path=FILE)),
        reply(call("edit", file_path=FILE, old_string=GOOD_BEFORE, new_string=GOOD_AFTER)),
        reply(call("edit", file_path=FILE, old_string=BAD_BEFORE, new_string=BAD_AFTER)),
        reply("Now the tests.", call("run_shell_command", command=TEST_COMMAND, description="Run the tests")),
        reply(LAST_WORDS),
    )
