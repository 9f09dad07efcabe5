"""The measurements a user can run."""
