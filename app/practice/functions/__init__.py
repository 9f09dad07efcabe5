"""Right functions to plant bugs in: templates, and compositions of parts."""
