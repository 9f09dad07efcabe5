"""Calling a user who looks elsewhere: bell, notification, title of the window."""
