# sample: METRIC METRICS; begin to sample once a second, and wait for a sample of the first.
vbox metrics setup --period 1 --samples 1 '*' "$2" >/dev/null
tries=30
until vbox metrics query '*' "$1" | grep -q "$1 *[0-9]" || [ "$tries" -le 0 ]; do
    tries=$((tries - 1))
    sleep 0.1
done
