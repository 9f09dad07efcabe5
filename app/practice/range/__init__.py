"""The practice range: where tasks are put before a user or a program, and what became of them is judged."""
