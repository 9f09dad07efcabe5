"""A file's content: encoding, line endings, reading and writing."""
