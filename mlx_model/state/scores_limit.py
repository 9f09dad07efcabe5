"""The limit of attention scores, apart from MLX, which the memory plan must not import."""

SCORES_LIMIT = 1 << 27
"""Bytes of scores above which attention is forced to be fused: those of the first 2,048 tokens with 16 heads in
16 bits. The plan of a 64 GB Mac then affords chunks of 2,048 tokens; which kernel is faster was not
measured."""
