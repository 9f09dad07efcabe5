"""Bugs to plant: by what of a function they change, and by whether what the tests print shows the line."""
