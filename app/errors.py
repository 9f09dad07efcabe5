"""The one family of errors that a user is meant to read."""


class TidegateError(Exception):
    """Something is wrong that the user can understand and mend.

    `what` says what is wrong in one clause, `remedy` what to do about it. The command line prints both
    on one line and exits with `exit_status`; the screen shows them in a notice.
    """

    exit_status = 2

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}: {remedy}" if remedy else what)
