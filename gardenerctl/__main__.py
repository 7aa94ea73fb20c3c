"""``python -m gardenerctl``."""

import sys

from gardenerctl.main import main

sys.exit(main())
