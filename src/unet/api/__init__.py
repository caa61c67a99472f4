"""What `import unet` offers beside the rooms themselves: the commands as functions with typed results, and models.

A function here takes text or paths, one or several, and settings as keywords; it shows nothing unless `verbose=True`.
"""

import os

# As the command line does, before torch is loaded, where it has not been: docs/decisions/007-threads.md.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
