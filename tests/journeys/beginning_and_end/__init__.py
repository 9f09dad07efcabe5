"""How a program begins and how it ends, however it does."""
