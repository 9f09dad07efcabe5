"""The review in the workspace and by itself: what is decided, and the dialogs about it."""
