"""Sizes on which the memory plan rests, apart from MLX, which it must not import."""

SCORES_LIMIT = 1 << 27
"""Bytes of scores above which attention is forced to be fused: those of the first 2,048 tokens with 16 heads in
16 bits. The plan of a 64 GB Mac then affords chunks of 2,048 tokens; which kernel is faster was not
measured."""

DELTA_CHUNK = 16
"""Tokens of a chunk in which a CPU runs the DeltaNet recurrence (layers/chunked_delta.py). 16 was the fastest
of 16, 32 and 64 for heads of 32, 64 and 128 dimensions (OpenBLAS 0.3.21, two busy cores)."""
