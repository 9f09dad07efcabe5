"""Keeping, rejecting and undoing, in any order, over random edits; and dying in the middle of it."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from app.review.diff.compare import line_bytes, split_lines
from app.review.errors import ReviewError
from app.review.model import FileChange, FileImage
from app.review.review import Review
from app.review.written.instead import Piece
from tests.support.review.review_cases import contents, edited, keep_all, reject_all
from tests.support.review.review_memory import Fuse, Killed, MemoryDisk, MemoryStore

NOWHERE = Path("/nonexistent")
QUICK = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=5000)
PATHS = ("a", "b/c", "d")
ACTIONS = (
    *("keep", "reject", "lines", "keep lines", "take", "undo", "redo"),
    *("agent", "agent renames", "user", "user restores", "restart", "compact"),
)


class Bench:
    """A review over memory, with the agent and the user played by the test."""

    def __init__(self, files: dict[str, FileImage]) -> None:
        self.fuse = Fuse()
        self.disk = MemoryDisk(self.fuse)
        self.disk.files = dict(files)
        self.store = MemoryStore(self.fuse)
        self.review = Review(NOWHERE, self.store, self.disk)

    def agent_writes(self, path: str, image: FileImage | None) -> None:
        self.review.record(path, self.disk.read(path), image)
        self.disk.put(path, image)

    def compact(self) -> None:
        """Restart, with a log that counts as long."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("app.review.log.ledger.LONG", -1)
            self.restart()

    def agent_renames(self, old: str, new: str, image: FileImage) -> None:
        """As review finds it behind a command."""
        before = self.disk.files[old]
        with self.review._acting():
            self.review._ledger.move(old, new, before, image)
        self.disk.put(old, None)
        self.disk.put(new, image)

    def restart(self) -> None:
        self.fuse.disarm()
        self.review = Review(NOWHERE, self.store.again(), self.disk)

    def hunks(self) -> dict[str, str]:
        """Path by hunk id."""
        return {hunk.id: change.path for change in self.review.changes() for hunk in change.hunks}


def images() -> st.SearchStrategy[FileImage]:
    return st.builds(FileImage, contents(), st.sampled_from([0o100644, 0o100644, 0o100755]))


@st.composite
def next_image(draw: st.DrawFn, image: FileImage | None) -> FileImage | None:
    """What an agent may make of a file: mostly an edit, sometimes something else."""
    what = draw(st.sampled_from(["edit"] * 8 + ["gone", "mode", "link", "binary"]))
    if image is None:
        return draw(images())
    if what == "gone":
        return None
    if what == "mode":
        return FileImage(image.data, image.mode ^ 0o111 if image.mode != 0o120000 else 0o100644)
    if what == "link":
        return FileImage(draw(st.sampled_from([b"target", b"other"])), 0o120000)
    if what == "binary":
        return FileImage(draw(st.binary(min_size=1, max_size=4)) + b"\0", 0o100644)
    return FileImage(draw(edited(image.data)), image.mode) if image.mode != 0o120000 else draw(images())


@st.composite
def benches(draw: st.DrawFn) -> tuple[Bench, dict[str, FileImage]]:
    """A review with some of the agent's edits in it, and the files as they were before."""
    before = draw(st.dictionaries(st.sampled_from(PATHS), images(), max_size=3))
    bench = Bench(before)
    for _ in range(draw(st.integers(1, 5))):
        path = draw(st.sampled_from(PATHS))
        bench.agent_writes(path, draw(next_image(bench.disk.read(path))))
    return bench, before


def splice(data: bytes, change: FileChange, rejected: set[str]) -> bytes:
    """The content with hunks taken back, straight from what the diff shows."""
    lines = split_lines(data)
    for hunk in reversed(change.hunks):
        if hunk.id in rejected and hunk.lines:
            at = hunk.after_start - 1 if hunk.after_count else hunk.after_start
            lines[at : at + hunk.after_count] = [line_bytes(x) for x in hunk.lines if x.kind != "added"]
    return b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines[:-1]) + b"".join(
        lines[-1:]
    )


@given(benches(), st.data())
@QUICK
def test_rejecting_hunks_is_splicing_what_the_diff_shows(
    made: tuple[Bench, dict[str, FileImage]], data: st.DataObject
) -> None:
    bench, _ = made
    changes = bench.review.changes()
    ids = [hunk.id for change in changes for hunk in change.hunks]
    assume(ids)
    rejected = data.draw(st.sets(st.sampled_from(ids), min_size=1))
    expected = dict(bench.disk.files)
    for change in changes:
        if change.kind == "modified":
            image = expected[change.path]
            mode = image.mode
            # The mode has a hunk of its own in front, or is one with a change of the file's type.
            if change.hunks[0].id in rejected and change.before_mode:
                mode = change.before_mode
            expected[change.path] = FileImage(splice(image.data, change, rejected), mode)
    bench.review.reject(frozenset(rejected))
    for change in changes:
        if change.kind == "modified":
            note(change.path)
            assert bench.disk.files[change.path] == expected[change.path]
    assert bench.store.users_edits() == 0
    assert bench.review.undo()
    assert bench.review.changes() == changes


@given(benches(), st.data())
@QUICK
def test_reject_all_and_keep_all_are_before_and_after(
    made: tuple[Bench, dict[str, FileImage]], data: st.DataObject
) -> None:
    bench, before = made
    after = dict(bench.disk.files)
    for _ in range(data.draw(st.integers(0, 3))):
        ids = bench.hunks()
        if ids:
            chosen = frozenset(data.draw(st.sets(st.sampled_from(sorted(ids)))))
            (bench.review.keep if data.draw(st.booleans()) else bench.review.reject)(chosen)
        decide_lines(bench, data, keep=data.draw(st.booleans()))
    while bench.review.undo():
        pass
    assert bench.disk.files == after
    keep_all(bench.review)
    assert bench.disk.files == after
    assert {hunk.decision for change in bench.review.changes() for hunk in change.hunks} <= {"kept"}
    bench.review.undo()
    decide_lines(bench, data, keep=True)
    reject_all(bench.review)
    assert bench.disk.files == before
    assert not bench.review.changes()
    bench.review.undo()
    assert bench.disk.files == after


def any_actions(made: tuple[Bench, dict[str, FileImage]], data: st.DataObject) -> None:
    """Decide, undo, edit, restart in any order: disk and log agree, and the user's text stays."""
    bench, before = made
    for number in range(data.draw(st.integers(1, 8))):
        action = data.draw(st.sampled_from(ACTIONS))
        note(action)
        hunks = bench.hunks()
        edits = bench.store.users_edits()
        earlier = dict(bench.disk.files)
        if action in ("keep", "reject") and hunks:
            chosen = frozenset(data.draw(st.sets(st.sampled_from(sorted(hunks)), min_size=1)))
            try:
                (bench.review.keep if action == "keep" else bench.review.reject)(chosen)
            except ReviewError:
                assert bench.disk.files == earlier
            if action == "keep":
                assert bench.disk.files == earlier
        elif action in ("lines", "keep lines") and hunks:
            decide_lines(bench, data, keep=action == "keep lines")
        elif action == "take" and hunks:
            put_a_take(bench, data, b"take %d\n" % number)
        elif action in ("undo", "redo"):
            try:
                bench.review.undo() if action == "undo" else bench.review.redo()
            except ReviewError:
                assert bench.disk.files == earlier
        elif action == "agent":
            is_turn = data.draw(st.booleans())
            if is_turn:
                bench.review.begin_turn(number + 1)
            path = data.draw(st.sampled_from(PATHS))
            bench.agent_writes(path, data.draw(next_image(bench.disk.read(path))))
            if is_turn:
                bench.review.end_turn(number + 1)
        elif action == "agent renames":
            known = bench.review._state.files
            free = [path for path in bench.disk.files if path not in known and path[0] != "m"]
            if free:
                old = data.draw(st.sampled_from(sorted(free)))
                new = data.draw(st.sampled_from(["m1", "m2"]))
                image = bench.disk.files[old]
                if new not in known and new not in bench.disk.files and image.mode != 0o120000:
                    bench.agent_renames(old, new, FileImage(data.draw(edited(image.data)), image.mode))
        elif action == "user":
            path = data.draw(st.sampled_from((*PATHS, "m1", "m2")))
            image = bench.disk.read(path)
            if image and image.mode != 0o120000 and b"\0" not in image.data:
                mine = b"mine %d\n" % number
                lines = split_lines(image.data)
                at = data.draw(st.integers(0, len(lines)))
                if at == len(lines) and lines and not lines[-1].endswith(b"\n"):
                    lines[-1] += b"\n"
                lines.insert(at, mine)
                bench.disk.put(path, FileImage(b"".join(lines), image.mode))
        elif action == "user restores":
            path = data.draw(st.sampled_from(PATHS))
            if b"mine" not in getattr(bench.disk.read(path), "data", b""):
                bench.disk.put(path, before.get(path))
        elif action == "restart":
            bench.restart()
        elif action == "compact":
            bench.compact()
        mine_before = {
            line for image in earlier.values() for line in split_lines(image.data) if b"mine" in line
        }
        if not action.startswith("agent"):
            text = b"".join(image.data for image in bench.disk.files.values())
            assert all(line in text for line in mine_before)
        shown = bench.review.changes()
        if not action.startswith("user") and action != "compact":
            assert bench.store.users_edits() == edits
        bench.restart()
        assert bench.review.changes() == shown


def put_a_take(bench: Bench, data: st.DataObject, line: bytes) -> None:
    """Write a hunk, a file or a turn otherwise: the files are what was wanted, and one step brings back all
    that was there."""
    review, shown, earlier = bench.review, bench.review.changes(), dict(bench.disk.files)
    hunks = bench.hunks()
    pieces = [Piece(hunk=name) for name in sorted(hunks)] + [
        Piece(path=path) for path in sorted({*hunks.values()})
    ]
    pieces += [Piece(turn=turn.serial) for turn in review.turns()]
    piece = data.draw(st.sampled_from(pieces))
    try:
        begun = dict(review.written.facts(piece).before)
        after = {path: image for path, image in begun.items() if data.draw(st.integers(0, 4))}
        after = begun | {path: take_of(data, image, line) for path, image in after.items()}
        if data.draw(st.booleans()) and not piece.hunk:
            other = data.draw(st.sampled_from([path for path in (*PATHS, "n/new") if path not in begun]))
            begun[other] = bench.disk.read(other)
            after[other] = take_of(data, begun[other], line)
        if any(mine(begun[path]) - mine(after[path]) for path in begun):
            return
        review.written.put_instead(piece, begun, after)
    except ReviewError:
        assert (review.changes(), bench.disk.files) == (shown, earlier)
        return
    wanted = {path: image for path, image in (earlier | after).items() if image is not None}
    assert bench.disk.files == wanted
    written, now = dict(bench.disk.files), review.changes()
    assert review.undo().startswith("Undone: put another take")
    assert (review.changes(), bench.disk.files) == (shown, earlier)
    bench.restart()
    assert bench.review.redo() and (bench.review.changes(), bench.disk.files) == (now, written)
    if data.draw(st.booleans()):
        bench.review.undo()


def take_of(data: st.DataObject, image: FileImage | None, line: bytes) -> FileImage:
    """A file as a take could leave it: with `line` in it."""
    if image is None or image.mode == 0o120000 or b"\0" in image.data:
        return FileImage(line)
    lines = split_lines(image.data)
    at = data.draw(st.integers(0, len(lines)))
    if at == len(lines) and lines and not lines[-1].endswith(b"\n"):
        lines[-1] += b"\n"
    lines[at : at + data.draw(st.integers(0, 2))] = [line]
    return FileImage(b"".join(lines), image.mode)


def mine(image: FileImage | None) -> set[bytes]:
    """The user's own lines."""
    return {line for line in split_lines(image.data) if b"mine" in line} if image else set()


def decide_lines(bench: Bench, data: st.DataObject, keep: bool) -> None:
    changes = bench.review.changes()
    candidates = [(change.path, hunk) for change in changes for hunk in change.hunks if hunk.lines]
    if not candidates:
        return
    path, hunk = data.draw(st.sampled_from(candidates))
    changed = [n for n, line in enumerate(hunk.lines) if line.kind != "context"]
    lines = frozenset(data.draw(st.sets(st.sampled_from(changed), min_size=1)))
    before = bench.disk.read(path)
    try:
        if keep:
            bench.review.keep_selected({hunk.id: lines})
            assert bench.disk.read(path) == before
            return
        bench.review.reject_selected({hunk.id: lines})
    except ReviewError:
        assert bench.disk.read(path) == before
        return
    layers = {other.decision for change in changes if change.path == path for other in change.hunks}
    # What is pending may have taken away already what was kept.
    if len(lines) == len(changed) or (hunk.decision == "kept" and "pending" in layers):
        return
    after = bench.disk.read(path)
    gone = sorted(hunk.lines[n].text for n in lines if hunk.lines[n].kind == "added")
    back = sorted(hunk.lines[n].text for n in lines if hunk.lines[n].kind == "removed")
    assert sorted(texts(after) + gone) == sorted(texts(before) + back)


def texts(image: FileImage | None) -> list[str]:
    lines = split_lines(image.data) if image else []
    return [line.removesuffix(b"\n").decode("utf-8", "surrogateescape") for line in lines]


@given(benches(), st.data())
@QUICK
def test_any_order_of_actions(made: tuple[Bench, dict[str, FileImage]], data: st.DataObject) -> None:
    any_actions(made, data)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(benches(), st.data())
@LONG
def test_any_order_of_actions_for_long(made: tuple[Bench, dict[str, FileImage]], data: st.DataObject) -> None:
    any_actions(made, data)


@pytest.mark.parametrize("left", [b"1\n", b""], ids=["some", "none"])
def test_removing_a_file_rests_on_every_line_removed_before(left: bytes) -> None:
    bench = Bench({"d": FileImage(b"1\n2\n")})
    bench.agent_writes("d", FileImage(left))
    bench.agent_writes("d", None)
    bench.review.reject(frozenset({"1.0"}))
    assert bench.disk.files == {"d": FileImage(b"1\n2\n")}
    assert bench.review.changes() == ()


def test_hunks_and_lines_of_others_are_one_decision() -> None:
    bench = three_files()
    before, changes = dict(bench.disk.files), bench.review.changes()
    hunks = {change.path: change.hunks[0] for change in changes}
    added = next(n for n, line in enumerate(hunks["a"].lines) if line.kind == "added")
    for take in (bench.review.reject_selected, bench.review.keep_selected):
        take({hunks["a"].id: frozenset({added}), hunks["d"].id: None})
        assert bench.review.undo().endswith("1 hunk and 1 line")
        assert (bench.disk.files, bench.review.changes()) == (before, changes)
    with pytest.raises(ReviewError, match="no longer there"):
        bench.review.reject_selected({hunks["d"].id: None, hunks["a"].id: frozenset({99})})
    assert bench.disk.files == before


def three_files() -> Bench:
    bench = Bench({path: FileImage(b"1\n2\n3\n") for path in ("a", "b/c")})
    bench.agent_writes("a", FileImage(b"1\ntwo\n3\n"))
    bench.agent_writes("b/c", None)
    bench.agent_writes("d", FileImage(b"new\n", 0o100755))
    return bench


def take(review: Review) -> None:
    put(review, Piece(hunk="1.0"), {"a": FileImage(b"1\n2\nzwei\n3\n")})


def take_of_all(review: Review) -> None:
    """Of three files one otherwise, one not at all, one as new as before, and a fourth in a new folder."""
    after = {"a": FileImage(b"1\nzwei\n3\n"), "d": FileImage(b"other\n"), "n/new": FileImage(b"n\n")}
    put(review, Piece(turn=review.turns()[-1].serial), after)


def put(review: Review, piece: Piece, after: dict[str, FileImage]) -> None:
    before = review.written.facts(piece).before
    begun = {**before, **{path: None for path in after if path not in before}}
    review.written.put_instead(piece, begun, {**begun, **after})


def test_the_agent_hears_which_lines_took_the_place_of_its_own() -> None:
    bench = three_files()
    take(bench.review)
    told = "a:2\n-2\n+two\nis now\n+zwei"
    assert told in bench.review.feedback()
    bench = three_files()
    take(bench.review)
    bench.review.undo()
    assert bench.review.feedback() == ""
    bench.review.redo()
    bench.compact()
    assert told in bench.review.feedback()


DECISIONS: dict[str, tuple[Callable[[Review], object], Callable[[Review], object]]] = {
    "reject": (Review.changes, reject_all),
    "undo": (reject_all, Review.undo),
    "redo": (lambda review: (reject_all(review), review.undo()), Review.redo),
    "keep": (Review.changes, keep_all),
    "take": (Review.changes, take),
    "undo take": (take, Review.undo),
    "take of a turn": (Review.changes, take_of_all),
    "undo take of a turn": (take_of_all, Review.undo),
}


@pytest.mark.parametrize("decision", DECISIONS)
def test_dying_at_any_write_leaves_the_old_or_the_new_state(decision: str) -> None:
    prepare, act = DECISIONS[decision]
    for writes in count():
        bench = three_files()
        prepare(bench.review)
        bench.review.changes()
        old_files, old_shown = dict(bench.disk.files), bench.review.changes()
        bench.fuse.arm(writes)
        try:
            act(bench.review)
            died = False
        except Killed:
            died = True
        bench.restart()
        shown = bench.review.changes()
        finished = three_files()
        prepare(finished.review)
        act(finished.review)
        new_files, new_shown = dict(finished.disk.files), finished.review.changes()
        assert (bench.disk.files, shown) in ((old_files, old_shown), (new_files, new_shown))
        assert bench.store.users_edits() == 0
        if not died:
            assert bench.disk.files == new_files
            break
    assert writes > 0


@pytest.mark.parametrize("decision", DECISIONS)
def test_a_disk_that_refuses_changes_nothing(decision: str) -> None:
    prepare, act = DECISIONS[decision]
    for writes in count():
        bench = three_files()
        prepare(bench.review)
        old_files, old_shown = dict(bench.disk.files), bench.review.changes()
        bench.fuse.arm(writes, OSError(28, "No space left on device"))
        try:
            act(bench.review)
        except ReviewError as error:
            assert "No space" in str(error)
            assert (bench.disk.files, bench.review.changes()) == (old_files, old_shown)
            continue
        break
    assert writes > 0


def test_a_file_noted_but_never_written_is_no_change() -> None:
    bench = Bench({"a": FileImage(b"1\n")})
    bench.review.record("a", FileImage(b"1\n"), FileImage(b"2\n"))
    bench.restart()
    assert bench.review.changes() == ()
    bench.agent_writes("a", FileImage(b"2\n"))
    assert len(bench.review.changes()) == 1
    assert bench.store.users_edits() == 0


def test_what_the_user_takes_back_by_hand_is_no_longer_a_change() -> None:
    bench = Bench({"a": FileImage(b"1\n")})
    bench.agent_writes("a", FileImage(b"2\n"))
    reject_all(bench.review)
    bench.review.undo()
    bench.disk.put("a", FileImage(b"1\n"))
    assert bench.review.changes() == ()
    bench.review.redo()
    assert bench.disk.files["a"].data == b"1\n"
    # Beside a change that stays, and with other lines than it had.
    bench = Bench({"a": FileImage(b"1\n\n\n\n5\n")})
    bench.agent_writes("a", FileImage(b"one\nhalf\n\n\n\n5\n"))
    bench.agent_writes("a", FileImage(b"one\nhalf\n\n\n\nfive\n"))
    bench.disk.put("a", FileImage(b"1\n\n\n\nfive\n"))
    assert [line.text for line in bench.review.changes()[0].hunks[-1].lines if line.kind == "added"] == ["five"]
    assert len(bench.review.changes()[0].hunks) == 1


def test_rejecting_takes_what_rests_on_it_and_keeping_keeps_what_it_rests_on() -> None:
    bench = Bench({"a": FileImage(b"1\n2\n3\n")})
    bench.agent_writes("a", FileImage(b"1\nfirst\n3\n"))
    bench.agent_writes("a", FileImage(b"1\nfirst\n3\n4\n"))
    bench.agent_writes("a", FileImage(b"1\nsecond\n3\n4\n"))
    # The net change is shown, the steps can still be named.
    assert [hunk.id for hunk in bench.review.changes()[0].hunks] == ["1.0+3.0", "2.0"]
    bench.review.reject(frozenset({"3.0"}))
    assert bench.disk.files["a"].data == b"1\nfirst\n3\n4\n"
    bench.review.undo()
    bench.review.keep(frozenset({"3.0"}))
    assert [hunk.decision for hunk in bench.review.changes()[0].hunks] == ["kept", "pending"]
    bench.review.reject(frozenset({"1.0"}))
    assert bench.disk.files["a"].data == b"1\n2\n3\n4\n"


def test_a_users_edit_on_top_is_never_taken_away() -> None:
    bench = Bench({"a": FileImage(b"1\n2\n3\n4\n5\n6\n7\n8\n9\n")})
    bench.agent_writes("a", FileImage(b"1\ntwo\nmore\n3\n4\n5\n6\n7\n8\nnine\n"))
    bench.disk.put("a", FileImage(b"0\n1\ntwo\nmine\nmore\n3\n4\n5\n6\n7\n8\nnine\n"))
    first, second = bench.review.changes()[0].hunks
    with pytest.raises(ReviewError, match="You edited"):
        bench.review.reject(frozenset({first.id}))
    assert "a line 3" in bench.review.reject(frozenset({first.id, second.id}))
    assert bench.disk.files["a"].data == b"0\n1\ntwo\nmine\nmore\n3\n4\n5\n6\n7\n8\n9\n"


def test_feedback_says_each_thing_once() -> None:
    bench = three_files()
    bench.review.reject(frozenset({"1.0"}))
    bench.review.comment("d", 1, "new", "Is this needed?")
    text = bench.review.feedback()
    assert "a:2\n-2\n+two" in text
    assert "d:1\n> new\nIs this needed?" in text
    assert bench.review.feedback() == ""
    bench.review.reject(frozenset({"2.0"}))
    bench.review.undo()
    assert bench.review.feedback() == ""


def test_rewind_to_a_turn_and_back() -> None:
    bench = Bench({"a": FileImage(b"0\n")})
    seen = [dict(bench.disk.files)]
    for turn in (1, 2, 3):
        bench.review.begin_turn(turn)
        bench.agent_writes("a", FileImage(b"%d\n" % turn))
        bench.agent_writes(f"new {turn}", FileImage(b"x\n"))
        bench.review.end_turn(turn)
        seen.append(dict(bench.disk.files))
    bench.review.rewind(2)
    assert bench.disk.files == seen[1]
    assert bench.review.is_rewound()
    bench.review.undo()
    assert bench.disk.files == seen[3]
    assert not bench.review.is_rewound()


def test_turns_of_another_session_are_other_turns() -> None:
    bench = Bench({"a": FileImage(b"1\n2\n3\n4\n5\n6\n7\n8\n9\n")})
    for session, turn, old, new in (("s", 1, b"2\n", b"two\n"), ("t", 1, b"8\n", b"eight\n")):
        bench.review.begin_turn(turn, session, f"words of {session}")
        image = bench.disk.files["a"]
        bench.agent_writes("a", FileImage(image.data.replace(old, new)))
        bench.review.end_turn(turn)
    assert [(one.session, one.turn, one.words) for one in bench.review.turns()] == [
        ("s", 1, "words of s"),
        ("t", 1, "words of t"),
    ]
    bench.review.rewind(1, "t")
    assert bench.disk.files["a"].data == b"1\ntwo\n3\n4\n5\n6\n7\n8\n9\n"
    assert bench.review.rewind(1, "unknown") == ""


def test_what_was_told_in_turns_gone_back_on_is_told_again() -> None:
    bench = three_files()
    bench.review.begin_turn(1, "s")
    bench.review.end_turn(1)
    bench.review.reject(frozenset({"1.0"}))
    bench.review.comment("d", 1, "new", "Why?")
    gone = bench.review.comment("d", 2, "new", "Never mind")
    bench.review.begin_turn(2, "s")
    told = bench.review.feedback()
    bench.review.end_turn(2)
    bench.review.change_comment(gone.id, "")
    assert bench.review.feedback() == ""
    bench.review.retell(2, "s")
    bench.restart()
    assert bench.review.feedback() == told.replace(f"\n\nComment {gone.id}, d:2\n> new\nNever mind", "")
    bench.review.retell(1, "other")
    assert bench.review.feedback() == ""


def test_decisions_wait_while_a_turn_writes() -> None:
    bench = three_files()
    bench.review.begin_turn(1)
    with pytest.raises(ReviewError, match="turn"):
        reject_all(bench.review)
    bench.review.end_turn(1)
    reject_all(bench.review)


def history_of(bench: Bench) -> list[object]:
    """What a review says, shows and can undo, redo and go back on."""
    review, found = bench.review, []
    found += [review.turns(), review.comments(), review.changes()]
    for step in (review.undo, review.redo):
        while said := step():
            found += [said, review.changes(), dict(bench.disk.files)]
    review.rewind(2, "s")
    found += [dict(bench.disk.files), review.changes(), review.undo(), review.feedback()]
    review.retell(1, "s")
    return [*found, review.feedback()]


def long_history() -> Bench:
    bench = Bench({path: FileImage(b"1\n2\n3\n4\n5\n6\n7\n8\n9\n") for path in ("a", "b/c", "gone")})
    for turn in (1, 2, 3):
        bench.review.begin_turn(turn, "s", f"words {turn}")
        for path in ("a", "b/c"):
            old = bench.disk.files[path]
            bench.agent_writes(path, FileImage(old.data.replace(b"%d\n" % (3 * turn), b"turn %d\n" % turn)))
        bench.review.end_turn(turn)
        bench.disk.put("a", FileImage(bench.disk.files["a"].data + b"mine %d\n" % turn))
        bench.review.reject(frozenset(sorted(bench.hunks())[:1]))
        bench.review.undo()
        if turn == 1:
            keep_all(bench.review)
            bench.review.put_away()
            bench.review.comment("a", 1, "1", "first")
            bench.review.feedback()
    bench.review.keep(frozenset(sorted(bench.hunks())[1:2]))
    bench.review.comment("a", 3, "3", "why?")
    return bench


def test_a_short_log_says_all_that_the_long_one_said() -> None:
    long, short = long_history(), long_history()
    before = len(short.store.log)
    short.compact()
    assert len(short.store.log) < before
    assert short.store.contents.keys() < long.store.contents.keys()
    long.restart()
    assert history_of(short) == history_of(long)


def test_dying_while_the_log_is_made_short_leaves_the_old_or_the_new_one() -> None:
    said = history_of(long_history())
    for writes in count():
        bench = long_history()
        bench.fuse.arm(writes)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("app.review.log.ledger.LONG", -1)
                Review(NOWHERE, bench.store.again(), bench.disk)
            died = False
        except Killed:
            died = True
        bench.restart()
        assert history_of(bench) == said
        if not died:
            break
    assert writes > 1


def test_a_new_file_stays_while_any_of_its_lines_is_open() -> None:
    bench = Bench({})
    bench.agent_writes("a", FileImage(b"1\n2\n3\n"))
    (hunk,) = bench.review.changes()[0].hunks
    bench.review.keep_selected({hunk.id: frozenset({0})})
    kept = next(hunk for hunk in bench.review.changes()[0].hunks if hunk.decision == "kept")
    bench.review.reject_selected({kept.id: frozenset({0})})
    assert bench.disk.files["a"].data == b"2\n3\n"
    (hunk,) = bench.review.changes()[0].hunks
    assert (hunk.decision, hunk.added) == ("pending", 2)
    bench.review.undo()
    assert bench.disk.files["a"].data == b"1\n2\n3\n"
    reject_all(bench.review)
    assert bench.disk.files == {}


def test_comments_are_listed_changed_and_removed_and_outlive_a_restart() -> None:
    bench = three_files()
    review = bench.review
    on_line = review.comment("a", 2, "two", "Why two?")
    gone = review.comment("d", 0, "", "No such file, please")
    review.comment("b/c", 3, "3", "In the index", source="the index")
    review.change_comment(on_line.id, "Why two,\nand not 2?")
    review.change_comment(gone.id, "")
    bench.restart()
    review = bench.review
    assert [(one.path, one.line, one.text, one.source) for one in review.comments()] == [
        ("a", 2, "Why two,\nand not 2?", ""),
        ("b/c", 3, "In the index", "the index"),
    ]
    review.reject(frozenset({"2.0"}))
    assert review.feedback() == (
        "The user rejected these changes; the files are as they were before them:\n\n"
        "b/c:1\n-1\n-2\n-3\n\n"
        "The user commented:\n\n"
        f"Comment {on_line.id}, a:2\n> two\nWhy two,\nand not 2?\n\n"
        f"Comment {gone.id + 1}, b/c:3\n> 3\nIn the index"
    )
    # Said again only when it is put into other words.
    review.change_comment(on_line.id, "Never mind")
    assert review.feedback() == f"The user commented:\n\nComment {on_line.id}, a:2\n> two\nNever mind"
    with pytest.raises(ReviewError, match="no longer there"):
        review.change_comment(gone.id, "again")


def test_lines_that_end_in_cr_and_lf_are_told_without_the_cr() -> None:
    bench = Bench({"a": FileImage(b"1\r\n2\r\n")})
    bench.agent_writes("a", FileImage(b"1\r\ntwo\r\n"))
    put(bench.review, Piece(turn=bench.review.turns()[-1].serial), {"a": FileImage(b"1\r\nzwei\r\n")})
    bench.review.comment("a", 2, "zwei\r", "Why?")
    text = bench.review.feedback()
    assert "a:2\n-2\n+two\nis now\n+zwei\n" in text and "a:2\n> zwei\nWhy?" in text
    assert "\r" not in text
