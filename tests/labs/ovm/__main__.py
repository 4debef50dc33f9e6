"""``python3 -m tests.labs.ovm start|stop [--force]|status``."""

import sys

from tests.labs import ovm
from tests.labs.command_line import main

if __name__ == "__main__":
    sys.exit(main("ovm", ovm, sys.argv[1:]))
