# metrics: BOUNDARY METRICS; the newest samples, and the processor time of the machines' processes.
section "$1" samples
vbox metrics query '*' "$2"
section "$1" processes
ps -A -o time= -o args= 2>/dev/null | sed -n '/ --startvm /p'
