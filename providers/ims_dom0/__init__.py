"""What providers share that drive a Xen dom0: its scripts, its bridges and xenstore, and vm.cfg."""
