"""To come first."""
