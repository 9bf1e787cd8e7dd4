"""`python -m minivit` is `minivit`."""

import sys

from .cli import main

sys.exit(main())
