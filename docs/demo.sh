#!/bin/sh
# The main job, for real: a VM that reads its context and proves it. Run by `make demo`.
set -eu

say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
run() { printf '\033[2m$ %s\033[0m\n' "$*" >&2; "$@"; }

say 'A libvirt to work with, and the tiny guest'
python -m tests.labs.kvm start >&2
image=$(python -m tests.labs.tiny_guest)

say 'The template'
if ims list-templates --provider kvm --output json | grep -q '"name": "tiny"'; then
    echo 'tiny is there already' >&2
else
    run ims import-template "$image" --name tiny --layout bootparams --min-memory 128M \
        --sha256 "$(sha256sum "$image" | cut -d' ' -f1)" --provider kvm
fi

say 'A VM, created, started, and waited for until its guest has answered'
if ims show-vm demo --provider kvm >/dev/null 2>&1; then
    run ims delete-vm demo --provider kvm
fi
run ims create-vm demo --provider kvm --memory 128M --hostname demo.example \
    --set motto="it's alive" --wait ready --timeout 180

say 'What the guest answered, and what it has'
run ims show-vm demo --provider kvm
run ims get-ip demo --provider kvm
run ims metrics demo --provider kvm
printf 'hostname; ip -4 addr show eth0\n' | run ims console-vm demo --provider kvm
echo

say 'The same guest told something else while it runs, and what it answers'
run ims update-context demo --provider kvm --set motto='still alive'

say 'Try it yourself'
cat >&2 <<'END'
  . .venv/bin/activate
  ims create-vm --provider kvm
  ims list-vms --provider kvm
  ims delete-vm demo --provider kvm
END
