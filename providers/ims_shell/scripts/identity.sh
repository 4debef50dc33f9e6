# identity: which machine this is, whatever way led here.
if [ -s /etc/machine-id ]; then cat /etc/machine-id; else hostname; fi
