"""Sizes for a person."""


def readable_size(nbytes: int) -> str:
    """In the largest unit that leaves something before the point: "44.80 GB", "12.50 kB"."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if nbytes >= limit:
            return f"{nbytes / limit:.2f} {unit}"
    return f"{nbytes} B"
