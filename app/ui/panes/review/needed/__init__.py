"""Which hunks the tests need, as the review pane shows it."""
