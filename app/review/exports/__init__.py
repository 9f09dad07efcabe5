"""A review for other programs: comments as Markdown and as a GitHub review, and all of it as JSON."""
