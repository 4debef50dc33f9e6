# --- Items and their results -------------------------------------------------------------------
# Runs one item in a subshell, so that its failure stops nothing else, and notes the result.
# It must not be called in a condition: the shell would then ignore `set -e` inside.
item() { # NAME COMMAND...
    name=$1
    shift
    (set -e; "$@") </dev/null >>"$log" 2>"$run/error" 9>&-
    status=$? result=ok
    cat "$run/error" >>"$log"
    if [ "$status" -ne 0 ]; then
        message=$(tail -n 1 "$run/error" | tr -c ' -~\n' ' ' | cut -c 1-200)
        result="failed ${message:-exit status $status}"
        say "$name $result"
    fi
    printf 'item %s %s\n' "$name" "$result" >>"$run/results"
}
