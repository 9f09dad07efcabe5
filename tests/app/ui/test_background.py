"""Work that is begun again with every key costs nothing for what it is given."""

from textual.app import App

from app.ui.background import begin_again


class Unspoken:
    """As good as the lines of a very large file, which nobody may write out."""

    def __repr__(self) -> str:
        raise AssertionError("written out")


async def test_what_work_is_given_is_not_written_out() -> None:
    given: list[object] = []

    async def work(argument: object) -> None:
        given.append(argument)

    app: App[None] = App()
    async with app.run_test():
        begin_again(app, "marks", work, Unspoken())
        await app.workers.wait_for_complete()
    assert len(given) == 1
