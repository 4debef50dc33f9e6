# --- Noticing another context ------------------------------------------------------------------
# One short look every other second. Where the guest was told before it is known where to look;
# a drive whose medium is just being changed tells of it by failing once.
seen_now() {
    case $carrier in
    medium) if [ -n "$given" ]; then cat "$given/ims.nonce" 2>/dev/null; else device_fingerprint; fi ;;
    *) get_value nonce ;;
    esac
}

# apply must not stand in a condition; see item.
watch() {
    sought=0
    while :; do
        now=
        if read -r carrier device 2>/dev/null <"$run/carrier"; then
            now=$(seen_now)
            answer_again
        elif [ $((sought % 10)) -eq 0 ] && find_carrier; then # not at every disk at every look
            now=$(seen_now)
        fi
        if [ -n "$now" ] && [ "$now" != "$(cat "$run/seen" 2>/dev/null)" ]; then
            kept=
            apply
        fi
        sought=$((sought + 1))
        sleep 2
    done
}
