# sample: WHAT METRIC; begin to sample once a second, and wait for a sample of the metric, but not for
# long. What is set up has shorter names than what is asked for.
vbox metrics setup --period 1 --samples 1 '*' "$1" >/dev/null
end=$(($(date +%s) + 10))
until vbox metrics query '*' "$2" | grep -q "$2 *[0-9]" || [ "$(date +%s)" -ge "$end" ]; do
    sleep 0.1
done
