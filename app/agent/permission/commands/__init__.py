"""Command lines: read part by part, as bash would, to say what permission they need.

This is for asking well, not for confinement: what a program does once it runs is the sandbox's business.
"""
