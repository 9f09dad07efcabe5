"""Where things lie that tests look for, so that no test counts the folders above itself."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "support" / "programs"
CACHE = ROOT / ".cache"
REFERENCE = ROOT.parent / "shared" / "reference"
"""Files of published models beside the repository; a test that reads them is skipped without."""
