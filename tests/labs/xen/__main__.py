"""``python3 -m tests.labs.xen start|stop [--force]|status``."""

import sys

from tests.labs import xen
from tests.labs.command_line import main

if __name__ == "__main__":
    sys.exit(main("xen", xen, sys.argv[1:]))
