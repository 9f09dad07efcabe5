"""Edits that always match: file texts that clients have shown, and constraining `old_string` to them."""
