"""What providers share that reach their hypervisor by a shell: SSH, scripts, and files."""
