"""Examples made of what a user decided, and training by night."""
