# identity: which machine this is, whatever way led here.
cat /etc/machine-id 2>/dev/null || hostname
