"""What a diff means beside its lines: code that moved, and what is only reformatted or renamed."""
