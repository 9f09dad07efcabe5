"""What sessions say of how sure the model was of the lines that it wrote."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from app.agent.errors import SessionError
from app.agent.hunks.doubt import LineDoubt, lines_of
from app.agent.session.records import MessageAdded
from app.agent.session.session import read_session


def written_lines(root: Path, session: str, calls: Sequence[str]) -> Mapping[str, list[LineDoubt]]:
    """What is known of how sure the model was of the lines that these calls of a session wrote, by call. Blocks
    on the disk; nothing where the session is gone."""
    try:
        records = read_session(root, session)
    except (SessionError, OSError):
        return {}
    wanted = set(calls)
    return {
        call.id: lines_of(call.arguments, record.doubt[call.id])
        for record in records
        if isinstance(record, MessageAdded) and record.doubt
        for call in record.message.tool_calls
        if call.id in wanted and call.id in record.doubt
    }
