# host: its name, how many CPUs it has, and what VirtualBox says of it.
echo "name: $(hostname)"
echo "cpus: $(getconf _NPROCESSORS_ONLN)"
vbox list hostinfo
