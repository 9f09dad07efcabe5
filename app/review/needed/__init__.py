"""Which hunks the tests need: any subset of the hunks as files, and what each hunk is to the tests."""
