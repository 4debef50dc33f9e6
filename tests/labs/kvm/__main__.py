"""``python3 -m tests.labs.kvm start|stop [--force]|status``."""

import sys

from tests.labs import kvm
from tests.labs.command_line import main

if __name__ == "__main__":
    sys.exit(main("kvm", kvm, sys.argv[1:]))
