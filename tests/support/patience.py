"""How long a test waits for what has to come, in seconds.

Far longer than anything takes on a machine that does six things at once: a test fails because something did
not happen, never because it happened late. Below pytest's own limit, so that a test can say what was missing.
"""

LONGEST = 240.0
