"""Which calls wrote a hunk, and another way of writing it in its place."""
