# whose: which machine this is, whatever way led here; whose VirtualBox it is; and where home is.
if [ -s /etc/machine-id ]; then cat /etc/machine-id; else hostname; fi
id -u
printf '%s\n' "$HOME"
