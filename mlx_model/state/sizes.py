"""Sizes on which the memory plan rests, apart from MLX, which it must not import."""

SCORES_LIMIT = 1 << 27
"""Bytes of scores above which attention is forced to be fused: those of the first 2,048 tokens with 16 heads in
16 bits. The plan of a 64 GB Mac then affords chunks of 2,048 tokens; which kernel is faster was not
measured."""

HALVED_BLOCK = 1024
"""Tokens of a block from which on a GPU computes its layers by halves, so that what attention or DeltaNet and
what the experts hold do not add up. Twice as many waits cost a block of so many tokens little; a shorter one
holds little."""
