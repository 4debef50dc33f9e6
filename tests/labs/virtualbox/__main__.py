"""``python3 -m tests.labs.virtualbox start|stop [--force]|status``."""

import sys

from tests.labs import virtualbox
from tests.labs.command_line import main

if __name__ == "__main__":
    sys.exit(main("virtualbox", virtualbox, sys.argv[1:]))
