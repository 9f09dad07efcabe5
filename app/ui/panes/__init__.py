"""The regions of the workspace screen."""
