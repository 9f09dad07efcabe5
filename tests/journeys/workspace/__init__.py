"""What a user does in the workspace all day."""
