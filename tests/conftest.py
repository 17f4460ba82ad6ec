"""What every test shares: hypothesis draws the same examples each time, unless asked to explore."""

import os

from hypothesis import settings

# Deadlines measure the machine, not the code: none in any profile.
settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("explore", deadline=None, print_blob=True, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
