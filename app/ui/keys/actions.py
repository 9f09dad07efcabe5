"""Everything a key can do, as data: help, palette, hint line and keymap file all read this one table.

An action's id is what the keymap file calls it; its handler is the name of the Textual action on the widget
or screen that the scope stands for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding

Scope = Literal[
    "app",
    "workspace",
    "practice",
    "tree",
    "lines",
    "viewer",
    "editor",
    "search",
    "review",
    "standalone",
    "transcript",
    "prompt",
    "permission",
    "sessions",
    "find",
    "tests",
    "shell",
    "terminal",
    "problems",
]

SCOPE_TITLES: dict[Scope, str] = {
    "app": "Anywhere",
    "workspace": "Workspace",
    "practice": "Practice range",
    "tree": "Files",
    "viewer": "Viewer",
    "editor": "Writing in a file",
    "search": "Finding and replacing while writing",
    "review": "Review",
    "standalone": "Review by itself (tidegate review)",
    "transcript": "Conversation",
    "prompt": "Message",
    "permission": "Permission",
    "sessions": "Sessions",
    "find": "Finding",
    "tests": "Tests",
    "shell": "Terminal, while keys go to the shell",
    "terminal": "Terminal, while they do not",
    "problems": "Problems",
    "lines": "Movement, in every view",
}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do. `hint` is its short name in the hint line, "" to leave it out there; `keys` are
    Textual's key names."""

    id: str
    scope: Scope
    handler: str
    keys: tuple[str, ...]
    description: str
    hint: str = ""
    priority: bool = False


ACTIONS: tuple[Action, ...] = (
    Action("app.help", "app", "help", ("f1", "question_mark"), "Show every key and what it does", "help"),
    Action(
        "app.palette",
        "app",
        "command_palette",
        ("ctrl+p",),
        "Find an action, a file or a symbol",
        "palette",
        True,
    ),
    Action("app.theme", "app", "choose_theme", ("ctrl+t",), "Choose a theme"),
    Action("app.settings", "app", "show_settings", ("semicolon",), "See the settings, and change them"),
    Action("app.keys", "app", "edit_keys", ("K",), "See the keys, and change them"),
    Action("app.suspend", "app", "suspend_process", ("ctrl+z",), "Go to the shell; fg comes back"),
    Action("app.quit", "app", "leave", ("ctrl+q",), "Quit", "", True),
    Action("workspace.files", "workspace", "show_files", ("f2", "ctrl+1", "1"), "Go to the files"),
    Action("workspace.viewer", "workspace", "show_viewer", ("f3", "2"), "Go to the viewer"),
    Action("workspace.review", "workspace", "show_review", ("f4", "3"), "Go to the review of changes"),
    Action("workspace.agent", "workspace", "show_agent", ("f5", "ctrl+3", "4"), "Go to the agent"),
    Action(
        "workspace.centre", "workspace", "show_centre", ("ctrl+2", "5"), "Go to the centre, whatever it shows"
    ),
    Action(
        "workspace.zoom",
        "workspace",
        "zoom",
        ("f6", "6"),
        "Give the focused pane the whole width, or undo that",
    ),
    Action("workspace.wider", "workspace", "wider", ("greater_than_sign",), "Make the focused pane wider"),
    Action(
        "workspace.narrower", "workspace", "narrower", ("less_than_sign",), "Make the focused pane narrower"
    ),
    Action(
        "workspace.model", "workspace", "show_model", ("f7", "7"), "Model: what is running, what fits, get one"
    ),
    Action(
        "workspace.put_aside",
        "workspace",
        "put_adapter_aside",
        ("ampersand",),
        "Put aside the adapter that training from your review made",
    ),
    Action("workspace.restart_engine", "workspace", "restart_engine", ("f8", "8"), "Start the engine again"),
    Action("workspace.tree", "workspace", "toggle_tree", ("ctrl+b",), "Show or hide the files"),
    Action("workspace.cancel", "workspace", "cancel", ("escape",), "Stop the agent; what was said stays"),
    Action(
        "workspace.go_on", "workspace", "go_on", ("f10", "0"), "Go on with the turn that was stopped or failed"
    ),
    Action("workspace.sessions", "workspace", "show_sessions", ("ctrl+o",), "Go on with an earlier session"),
    Action(
        "workspace.agents",
        "workspace",
        "show_agents",
        ("ctrl+right_square_bracket", "backslash"),
        "Agents beside you: list them, go to one, begin one, bring changes over",
    ),
    Action(
        "workspace.rewind",
        "workspace",
        "rewind",
        ("f12", "minus"),
        "Go back to before a turn, or forward again",
    ),
    Action(
        "workspace.find_file", "workspace", "find_file", ("ctrl+l", "comma"), "Open a file by its name", "open"
    ),
    Action("workspace.find_text", "workspace", "find_text", ("ctrl+s", "full_stop"), "Search in all files"),
    Action(
        "workspace.find_symbol",
        "workspace",
        "find_symbol",
        ("ctrl+n", "apostrophe"),
        "Go to a symbol, in this file or any",
    ),
    Action(
        "workspace.terminal",
        "workspace",
        "toggle_terminal",
        ("ctrl+backslash", "grave_accent"),
        "Go to the terminal, or put it away",
    ),
    Action(
        "workspace.problems",
        "workspace",
        "show_problems",
        ("exclamation_mark",),
        "Go to the problems in the files",
    ),
    Action(
        "workspace.definition",
        "workspace",
        "definition",
        ("at",),
        "Go to where the name under the cursor is defined",
    ),
    Action(
        "workspace.references",
        "workspace",
        "references",
        ("asterisk",),
        "List where the name under the cursor is used",
    ),
    Action("workspace.run_tests", "workspace", "run_tests", ("equals_sign",), "Run the project's tests"),
    Action("workspace.tests", "workspace", "show_tests", ("plus",), "Go to the tests: output, and what failed"),
    Action("workspace.mode", "workspace", "cycle_mode", ("f9", "9"), "Change the mode: plan, ask, auto"),
    Action("practice.next", "practice", "next_task", ("ctrl+n",), "Another practice task", "next task"),
    Action("tree.open", "tree", "select_cursor", ("enter", "l", "right"), "Open the file or folder", "open"),
    Action("tree.close", "tree", "close_folder", ("h", "left"), "Close the folder, or go to the one around it"),
    Action("tree.down", "tree", "cursor_down", ("j", "down"), "Next line"),
    Action("tree.up", "tree", "cursor_up", ("k", "up"), "Previous line"),
    Action("tree.first", "tree", "scroll_home", ("g", "home"), "First line"),
    Action("tree.last", "tree", "scroll_end", ("G", "end"), "Last line"),
    Action("tree.ignored", "tree", "toggle_ignored", ("i",), "Show or hide ignored files", "ignored"),
    Action("tree.hidden", "tree", "toggle_hidden", ("full_stop",), "Show or hide names that begin with a dot"),
    Action(
        "tree.filter", "tree", "filter", ("slash",), "Show only files with these letters; Esc ends it", "filter"
    ),
    Action("tree.jump", "tree", "jump", ("f",), "Go to the name that begins with what is typed next"),
    Action("tree.create", "tree", "create", ("n",), "New file, or folder", "new"),
    Action("tree.rename", "tree", "rename", ("m",), "Rename it, or move it", "move"),
    Action("tree.copy", "tree", "copy_to", ("c",), "Copy it to another place"),
    Action("tree.delete", "tree", "delete", ("d",), "Delete it: it goes to the trash", "delete"),
    Action("tree.undo", "tree", "undo", ("u",), "Take back what was last done to a file here"),
    Action("tree.stage", "tree", "stage", ("s",), "Stage it, or take it out of the index", "stage"),
    Action("tree.edit_outside", "tree", "edit_outside", ("E",), "Edit the file in $EDITOR"),
    Action("tree.show", "tree", "show_outside", ("o",), "Show it in the Finder, or the file manager"),
    Action("tree.path", "tree", "copy_path", ("y",), "Copy its path"),
    Action("tree.refresh", "tree", "reload", ("r",), "Read the folder and git's status again", "refresh"),
    Action("viewer.edit", "viewer", "edit", ("e", "i", "enter"), "Write in the file; Esc reads again", "edit"),
    Action("viewer.search", "viewer", "search", ("slash",), "Search in the file", "search"),
    Action("viewer.next", "viewer", "next_match", ("n",), "Next match, or result in any file", "next"),
    Action("viewer.previous", "viewer", "previous_match", ("N",), "Previous match, or result"),
    Action("viewer.symbols", "viewer", "list_symbols", ("s",), "Go to a symbol of this file", "symbols"),
    Action("viewer.goto", "viewer", "goto", ("colon", "ctrl+g"), "Go to a line", "line"),
    Action("viewer.wrap", "viewer", "toggle_wrap", ("w",), "Wrap long lines, or not", "wrap"),
    Action("viewer.edit_outside", "viewer", "edit_outside", ("E",), "Edit the file at this line in $EDITOR"),
    Action(
        "viewer.next_change",
        "viewer",
        "next_change",
        ("right_square_bracket", "alt+down"),
        "Next change since what git's index has",
        "change",
    ),
    Action(
        "viewer.previous_change",
        "viewer",
        "previous_change",
        ("left_square_bracket", "alt+up"),
        "Previous change",
    ),
    Action("viewer.buffers", "viewer", "list_buffers", ("o",), "List the open files; ● is not saved", "open"),
    Action("viewer.next_buffer", "viewer", "next_buffer", ("right_curly_bracket",), "Next open file"),
    Action("viewer.prior_buffer", "viewer", "prior_buffer", ("left_curly_bracket",), "Previous open file"),
    Action("viewer.save", "viewer", "save", ("ctrl+s",), "Save; with all saved, search in all files"),
    Action("viewer.drop", "viewer", "drop", ("X",), "Drop what was written in the file and is not saved"),
    Action("editor.save", "editor", "save", ("ctrl+s", "super+s"), "Save", "save"),
    Action("editor.leave", "editor", "leave", ("escape",), "Read again; what is not saved stays", "read"),
    Action("editor.find", "editor", "find", ("ctrl+f", "super+f"), "Find in the file", "find"),
    Action("editor.replace", "editor", "replace", ("ctrl+r",), "Find and replace", "replace"),
    Action("editor.undo", "editor", "undo", ("ctrl+z", "super+z"), "Undo", "undo"),
    Action("editor.redo", "editor", "redo", ("ctrl+y", "super+y", "super+shift+z"), "Redo"),
    Action(
        "editor.comment",
        "editor",
        "comment",
        ("ctrl+slash", "ctrl+underscore", "super+slash"),
        "Make the selected lines comments, or code again",
        "comment",
    ),
    Action("editor.indent", "editor", "indent", ("tab",), "Indent the selected lines, or go to the next stop"),
    Action("editor.outdent", "editor", "outdent", ("shift+tab",), "Indent them less"),
    Action("editor.lines", "editor", "select_lines", ("ctrl+d",), "Select the line; again, one more"),
    Action("editor.cut", "editor", "cut", ("ctrl+x", "super+x"), "Cut the selection, or the line"),
    Action("editor.copy", "editor", "copy", ("ctrl+c", "super+c"), "Copy the selection"),
    Action("editor.paste", "editor", "paste", ("ctrl+v",), "Paste what was copied here"),
    Action(
        "editor.delete",
        "editor",
        "delete_to_end_of_line_or_delete_line",
        ("ctrl+k",),
        "Delete the rest of the line, or an empty line",
    ),
    Action("editor.goto", "editor", "goto", ("ctrl+g",), "Go to a line by its number"),
    Action("search.next", "search", "next", ("down",), "Next match; so does Enter", "next"),
    Action("search.previous", "search", "previous", ("up",), "Previous match", "previous"),
    Action("search.regex", "search", "regex", ("ctrl+r",), "A regular expression, or plain text", "regex"),
    Action("search.case", "search", "case", ("ctrl+t",), "Capitals matter, or only written ones", "case"),
    Action("search.field", "search", "other_field", ("tab",), "What to replace by, or what to find", "replace"),
    Action("search.replace", "search", "replace", ("ctrl+n",), "Replace this match; so does Enter there"),
    Action("search.all", "search", "replace_all", ("ctrl+l",), "Replace all matches", "replace all"),
    Action("search.leave", "search", "leave", ("escape",), "Back to the text", "back"),
    Action("review.keep", "review", "keep", ("a",), "Keep, stage or apply this hunk, or these lines", "keep"),
    Action("review.reject", "review", "reject", ("x",), "Reject, discard, unstage or skip it", "reject"),
    Action("review.undo", "review", "undo", ("u",), "Undo the last decision", "undo"),
    Action("review.redo", "review", "redo", ("U", "ctrl+r"), "Redo what was undone"),
    Action(
        "review.select",
        "review",
        "select",
        ("v",),
        "Select lines, to decide or copy just these; again: of one side",
        "lines",
    ),
    Action("review.keep_file", "review", "keep_file", ("A",), "Keep every open hunk of this file"),
    Action("review.reject_file", "review", "reject_file", ("X",), "Reject every open hunk of this file"),
    Action("review.comment", "review", "comment", ("m",), "Comment on this line, or edit that", "comment"),
    Action("review.comments", "review", "comments", ("M",), "List all comments"),
    Action("review.edit", "review", "edit", ("e",), "Edit this hunk in place", "edit"),
    Action("review.edit_file", "review", "edit_file", ("E",), "Edit the file at this line in $EDITOR"),
    Action(
        "review.commit",
        "review",
        "commit",
        ("c",),
        "Commit what is kept or staged; without git, take it off the list",
        "commit",
    ),
    Action("review.open", "review", "open", ("o",), "Open the file at this line", "open"),
    Action("review.next_hunk", "review", "next_hunk", ("n",), "Next hunk, or next match of a search", "next"),
    Action("review.previous_hunk", "review", "previous_hunk", ("p", "N"), "Previous hunk, or previous match"),
    Action("review.next_file", "review", "next_file", ("right_square_bracket",), "Next file"),
    Action("review.previous_file", "review", "previous_file", ("left_square_bracket",), "Previous file"),
    Action("review.next_comment", "review", "next_comment", ("right_curly_bracket",), "Next comment"),
    Action("review.prior_comment", "review", "prior_comment", ("left_curly_bracket",), "Previous comment"),
    Action("review.files", "review", "list_files", ("f",), "List the files, with counts and state", "files"),
    Action("review.search", "review", "search", ("slash",), "Search in the diff; Esc ends it", "search"),
    Action("review.fold", "review", "fold", ("enter", "space"), "Fold or unfold the hunk or file"),
    Action("review.more", "review", "more", ("z",), "Show more of the file around this hunk"),
    Action("review.less", "review", "less", ("Z",), "Show the hunk alone again"),
    Action("review.space", "review", "ignore_space", ("i",), "Ignore changes of white space, or not"),
    Action("review.export", "review", "export", ("Y",), "Export the comments: Markdown, GitHub, notes of git"),
    Action(
        "review.see", "review", "see", ("V",), "Mark this hunk or file as seen, or not, in commits and patches"
    ),
    Action("review.next_commit", "review", "next_commit", ("right_parenthesis",), "Next commit of the range"),
    Action(
        "review.prior_commit",
        "review",
        "prior_commit",
        ("left_parenthesis",),
        "Previous commit; before the first, the range",
    ),
    Action("review.moved", "review", "switch_moves", ("B",), "Draw moved code as moved, or as any other"),
    Action(
        "review.structure",
        "review",
        "switch_structure",
        ("I",),
        "Fold what is only reformatted or renamed, or show it",
    ),
    Action("review.layout", "review", "switch_layout", ("s",), "Side by side, or unified", "layout"),
    Action("review.wrap", "review", "wrap", ("w",), "Wrap long lines, or scroll sideways"),
    Action("review.copy", "review", "copy", ("y",), "Copy the hunk or the lines, without gutters"),
    Action("review.desk", "review", "switch_desk", ("t",), "The agent's changes, the work tree or the index"),
    Action("review.turns", "review", "list_turns", ("T",), "Keep, reject or rewrite a turn; those since, all"),
    Action("review.rewind", "review", "rewind", ("R",), "Go back to before a turn, or forward again"),
    Action("review.needed", "review", "needed", ("C",), "Find which hunks the tests need; any key stops it"),
    Action("review.smallest", "review", "keep_smallest", ("S",), "Keep the smallest set that passes the tests"),
    Action(
        "review.order", "review", "follow_order", ("O",), "Go by the agent's order of reading, or by the files"
    ),
    Action("review.ask", "review", "ask", ("Q",), "Ask the model about this hunk or line", "ask"),
    Action(
        "review.retake", "review", "retake", ("r",), "Have this hunk or file written again; choose", "retake"
    ),
    Action("review.doubt", "review", "switch_doubt", ("d",), "Tint doubtful lines and go by doubt, or not"),
    Action("review.refresh", "review", "reload", ("L",), "Look at the disk again"),
    Action("standalone.leave", "standalone", "leave_mode", ("escape",), "End the selection or the search"),
    Action("standalone.quit", "standalone", "quit", ("q",), "Quit the review", "quit"),
    Action(
        "transcript.next",
        "transcript",
        "next_call",
        ("n",),
        "Next tool call, or match of a search",
        "next call",
    ),
    Action("transcript.previous", "transcript", "previous_call", ("p", "N"), "Previous tool call, or match"),
    Action(
        "transcript.expand", "transcript", "expand", ("enter", "space"), "Show or hide its output", "output"
    ),
    Action("transcript.expand_all", "transcript", "expand_all", ("e",), "Show or hide all output"),
    Action("transcript.newest", "transcript", "newest_call", ("o",), "Show the newest output, or hide it"),
    Action("transcript.search", "transcript", "search", ("slash",), "Search in it; Esc ends that", "search"),
    Action("transcript.plan", "transcript", "unfold_plan", ("t",), "Unfold the agent's plan, or fold it"),
    Action("transcript.reply", "transcript", "reply", ("i",), "Back to the message", "write"),
    Action(
        "prompt.send",
        "prompt",
        "send",
        ("enter",),
        "Send, or queue while the agent works; again, with nothing written: tell it now",
        "send",
    ),
    Action("prompt.newline", "prompt", "newline", ("shift+enter", "ctrl+j"), "New line", "new line"),
    Action("prompt.older", "prompt", "older", ("up",), "Earlier message, from the first line"),
    Action("prompt.newer", "prompt", "newer", ("down",), "Later message, from the last line"),
    Action("prompt.history", "prompt", "history", ("ctrl+r",), "Find a message of yours, of any session"),
    Action("prompt.read_up", "prompt", "read_up", ("pageup",), "Scroll the conversation up"),
    Action("prompt.read_down", "prompt", "read_down", ("pagedown",), "Scroll the conversation down"),
    Action("prompt.read_first", "prompt", "read_first", ("ctrl+home",), "To the start of the conversation"),
    Action("prompt.read_last", "prompt", "read_last", ("ctrl+end",), "To the end of the conversation"),
    Action("prompt.plan", "prompt", "unfold_plan", ("f11",), "Unfold the agent's plan, or fold it"),
    Action("prompt.find", "prompt", "find", ("ctrl+f",), "Search in the conversation"),
    Action("prompt.newest", "prompt", "newest_call", ("ctrl+d",), "Show the newest output, or hide it"),
    Action(
        "prompt.expand_all",
        "prompt",
        "expand_all",
        ("ctrl+x",),
        "Show or hide all output, if nothing is selected",
    ),
    Action("prompt.complete", "prompt", "complete", ("tab",), "Take the completion that is offered"),
    Action("prompt.undo", "prompt", "undo_edit", ("ctrl+underscore", "super+z"), "Undo what was last written"),
    Action("prompt.editor", "prompt", "edit_outside", ("ctrl+g",), "Write the message in $EDITOR"),
    Action("prompt.mode", "prompt", "cycle_mode", ("shift+tab",), "Change the mode: plan, ask, auto", "mode"),
    Action("permission.once", "permission", "once", ("y",), "Allow this once", "once"),
    Action("permission.always", "permission", "always", ("a",), "Allow always, exactly as shown", "always"),
    Action("permission.keep", "permission", "keep", ("k",), "Allow it in every session: write a rule", "keep"),
    Action("permission.deny", "permission", "deny", ("n",), "Deny", "deny"),
    Action("permission.comment", "permission", "comment", ("c",), "Deny and say why", "deny, say why"),
    Action("permission.down", "permission", "body_down", ("down", "pagedown"), "Read on in what would be done"),
    Action("permission.up", "permission", "body_up", ("up", "pageup"), "Read back in it"),
    Action("sessions.down", "sessions", "down", ("down",), "Next session"),
    Action("sessions.up", "sessions", "up", ("up",), "Previous session"),
    Action("sessions.rename", "sessions", "rename", ("f2", "ctrl+r"), "Give the session a title"),
    Action("sessions.fork", "sessions", "fork", ("f3", "ctrl+n"), "Go on in a copy of the session"),
    Action("sessions.export", "sessions", "export", ("f4", "ctrl+s"), "Write the session to a Markdown file"),
    Action("sessions.delete", "sessions", "delete", ("f5", "ctrl+t"), "Put the session into the trash"),
    Action("sessions.leave", "sessions", "leave", ("escape",), "Back, or leave the old title"),
    Action("find.down", "find", "down", ("down",), "Next row"),
    Action("find.up", "find", "up", ("up",), "Previous row"),
    Action("find.page_down", "find", "page_down", ("pagedown", "ctrl+n"), "Down a page"),
    Action("find.page_up", "find", "page_up", ("pageup", "ctrl+b"), "Up a page"),
    Action("find.regex", "find", "regex", ("ctrl+r",), "In a search: a regular expression, or plain text"),
    Action("find.case", "find", "case", ("ctrl+t",), "In a search: capitals matter, or not"),
    Action("find.glob", "find", "glob", ("tab",), "In a search: which files"),
    Action("find.hand_over", "find", "hand_over", ("ctrl+g",), "In a search: hand the results to the agent"),
    Action("find.leave", "find", "leave", ("escape",), "Back"),
    Action("problems.open", "problems", "open", ("enter", "o"), "Open the file at the problem", "open"),
    Action("problems.hand_over", "problems", "hand_over", ("a",), "Hand the problems to the agent", "agent"),
    Action("tests.open", "tests", "open", ("enter", "o"), "Open what the line is about", "open"),
    Action("tests.next", "tests", "next", ("n",), "Next failure", "next"),
    Action("tests.previous", "tests", "previous", ("p", "N"), "Previous failure"),
    Action("tests.hand_over", "tests", "hand_over", ("a",), "Hand the failures to the agent", "agent"),
    Action("tests.run", "tests", "run", ("r",), "Run them again", "run"),
    Action("tests.stop", "tests", "stop", ("x",), "Stop them", "stop"),
    Action("tests.outside", "tests", "outside", ("O",), "Run them again, outside the sandbox"),
    Action(
        "tests.command", "tests", "command", ("c",), "Give another command for this project's tests", "command"
    ),
    Action(
        "shell.leave",
        "shell",
        "leave",
        ("ctrl+backslash",),
        "Leave the shell for the workspace",
        "leave",
    ),
    Action("terminal.type", "terminal", "type", ("i",), "Type in the shell again", "type"),
    Action("terminal.open", "terminal", "open", ("enter", "o"), "Open the file that the line names", "open"),
    Action("terminal.next", "terminal", "next", ("n",), "Next line that names a file", "next"),
    Action("terminal.previous", "terminal", "previous", ("p", "N"), "Previous line that names a file"),
    Action("terminal.hand_over", "terminal", "hand_over", ("a",), "Hand the last lines to the agent", "agent"),
    Action("terminal.restart", "terminal", "restart", ("r",), "Start a shell again, when it has ended"),
    Action("lines.down", "lines", "down", ("j", "down"), "Down a line"),
    Action("lines.up", "lines", "up", ("k", "up"), "Up a line"),
    Action("lines.half_down", "lines", "half_down", ("ctrl+d",), "Down half a page"),
    Action("lines.half_up", "lines", "half_up", ("ctrl+u",), "Up half a page"),
    Action("lines.page_down", "lines", "page_down", ("pagedown", "ctrl+f"), "Down a page"),
    Action("lines.page_up", "lines", "page_up", ("pageup", "b"), "Up a page"),
    Action("lines.first", "lines", "first", ("g", "home"), "To the start"),
    Action("lines.last", "lines", "last", ("G", "end"), "To the end"),
    Action("lines.left", "lines", "left", ("h", "left"), "Scroll left"),
    Action("lines.right", "lines", "right", ("l", "right"), "Scroll right"),
)

AT_THE_CURSOR = frozenset(
    [f"tree.{name}" for name in ("open", "close", "down", "up", "first", "last")]
    + [f"transcript.{name}" for name in ("next", "previous", "expand", "reply")]
    + [f"prompt.{name}" for name in ("send", "newline", "older", "newer", "complete", "undo", "mode")]
    + [f"prompt.{name}" for name in ("read_up", "read_down", "read_first", "read_last")]
    + [f"prompt.{name}" for name in ("find", "newest", "expand_all", "plan")]  # the transcript's own
    + [
        f"editor.{name}"
        for name in ("undo", "redo", "cut", "copy", "paste", "delete", "indent", "outdent", "lines")
    ]
    + ["shell.leave", "app.palette", "review.rewind", "editor.leave"]
)
"""What moves in a view or edits the text at the cursor, and so is nothing to be found in the palette; nor is
the palette itself, or what another action does from anywhere."""

BY_ID: dict[str, Action] = {action.id: action for action in ACTIONS}


def in_scope(scope: Scope) -> Iterator[Action]:
    """The actions of one scope, in the table's order."""
    return (action for action in ACTIONS if action.scope == scope)


def bindings(scope: Scope) -> list[Binding]:
    """The table's keys for `scope` as Textual bindings; their ids let a keymap replace the keys."""
    return [
        Binding(
            ",".join(action.keys),
            action.handler,
            action.description,
            show=bool(action.hint),
            id=action.id,
            priority=action.priority,
        )
        for action in in_scope(scope)
    ]
