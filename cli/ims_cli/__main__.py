"""``python -m ims_cli``, where the console script is not installed."""

from __future__ import annotations

import sys

from ims_cli.main import main

sys.exit(main())
