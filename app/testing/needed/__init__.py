"""Running the tests on subsets of the hunks under review: scratch copies, what is known of them, the search."""
