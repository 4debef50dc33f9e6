"""What providers share that drive a Xen dom0: a shell in it, files in it, and vm.cfg."""
