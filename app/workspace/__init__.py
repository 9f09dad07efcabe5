"""Facts about the directory that is open: files and ignore rules, git status, search, watching."""
