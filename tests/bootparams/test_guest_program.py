"""The guest program, run into a directory (--root) under the shells that guests have."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from ims_bootparams import guest
from ims_bootparams.digest import NONCE_FILE, digest_of, listed
from ims_bootparams.layouts.bootparams import render
from ims_bootparams.receipt import MAX_ITEMS, RECEIPT_BYTES, parse_receipt
from ims_core.models import Context, File, Interface, Receipt, Script, User
from tests.bootparams import contexts
from tests.bootparams.helpers import write_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Scripts see $OUT as the machine's root, because they know the context by its path.
OUT = b"out=${IMS_BOOTPARAMS%/run/ims/bootparams.conf}\n"


@dataclass
class Machine:
    """A directory that the guest program takes for its machine."""

    shell: list[str]
    root: Path
    medium: Path
    program: Path
    output: str = ""

    def insert(self, files: Mapping[str, bytes], nonce: str = "n-1") -> None:
        for old in sorted(self.medium.rglob("*"), reverse=True):
            old.rmdir() if old.is_dir() else old.unlink()
        write_files(self.medium, {**files, NONCE_FILE: f"{nonce}\n".encode()})

    def boot(self) -> int:
        done = subprocess.run(
            [*self.shell, self.program, "--root", self.root, "--act", "--medium", self.medium],
            env={"PATH": f"{self.root}/fake-bin:{os.environ['PATH']}"},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        self.output = done.stdout + done.stderr
        return done.returncode

    def boot_with(self, context: Context, nonce: str = "n-1") -> Receipt:
        self.insert(render(context), nonce)
        self.boot()
        return self.receipt()

    def receipt(self) -> Receipt:
        receipt = parse_receipt((self.root / "run/ims/receipt").read_bytes())
        assert receipt
        return receipt

    def text(self, path: str) -> str:
        return (self.root / path).read_text()

    def mode(self, path: str) -> int:
        return stat.S_IMODE((self.root / path).stat().st_mode)

    def commands(self) -> list[str]:
        path = self.root / "run/ims/commands"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def machine(shell: list[str], tmp_path: Path) -> Machine:
    program = tmp_path / "ims-context"
    program.write_bytes(guest.program())
    root = tmp_path / "root"
    write_files(
        root,
        {
            "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nold:x:1004:1004::/home/old:/bin/sh\n",
            "etc/group": b"root:x:0:\nold:x:1004:\nlater:x:1010:\n",
            "etc/shadow": b"root:*:1:0:99999:7:::\nold:!:1:0:99999:7:::\n",
            "etc/hosts": b"127.0.0.1\tlocalhost\n127.0.1.1\tformer\n",
            "etc/sudoers.d/README": b"",
            "home/old/.ssh/authorized_keys": b"ssh-rsa AAAAOLD own key\n",
            "sys/class/net/testnic0/address": contexts.MAC.encode() + b"\n",
            "sys/class/net/testnic1/address": contexts.DHCP_MAC.encode() + b"\n",
            "sys/class/virtio-ports/vport1p1/name": b"org.other.0\n",
            "sys/class/virtio-ports/vport1p2/name": b"org.ims.receipt.0\n",
            "dev/vport1p2": b"",
        },
    )
    (root / "etc/shadow").chmod(0o640)
    return Machine(shell, root, tmp_path / "medium", program)


def results(receipt: Receipt) -> dict[str, str]:
    return {item.name: "ok" if item.ok else item.message for item in receipt.items}


def test_other_files_of_a_templates_disk_are_nobodys_business(machine: Machine) -> None:
    context = replace(contexts.small(), files=(File("/etc/motd", b"hello\n"),))
    files = render(context)
    others = {"README": b"the template's", "files/9999": b"of an earlier day", "a b": b"odd name"}
    machine.insert({**listed(files, "n-7"), **others}, nonce="n-7")
    assert machine.boot() == 0, machine.output
    receipt = machine.receipt()
    assert receipt.digest == digest_of(files)
    assert receipt.nonce == "n-7"
    assert machine.text("etc/motd") == "hello\n"


def test_a_file_that_is_not_on_the_disks_list_is_not_used(machine: Machine) -> None:
    files = render(replace(contexts.small(), files=(File("/etc/motd", b"hello\n"),)))
    machine.insert(
        {**listed({k: v for k, v in files.items() if k != "files/0000"}, "n-1"), **files}
    )
    machine.boot()
    assert machine.receipt().digest != digest_of(files), "it was not what was delivered"


def test_a_full_context_is_applied_and_every_item_reported(machine: Machine) -> None:
    files = render(replace(contexts.full(), user_data=b"\0raw"))
    machine.insert(files)
    assert machine.boot() == 1  # one script fails, on purpose
    receipt = machine.receipt()
    assert (receipt.digest, receipt.nonce) == (digest_of(files), "n-1")
    assert results(receipt) == {
        "bootparams": "ok",
        "hostname": "ok",
        "interfaces.0": "ok",
        "interfaces.1": "ok",
        "resolver": "ok",
        "users.0": "ok",
        "users.1": "ok",
        "ssh_keys": "ok",
        "host_keys.0": "ok",
        "user_data": "ok",
        "files.0": "ok",
        "files.1": "ok",
        "scripts.0": "ok",
        "scripts.1": "exit status 3; see /var/log/ims-context.log",
    }


def test_a_small_context_is_applied_without_a_failure(machine: Machine) -> None:
    machine.insert(render(contexts.small()))
    assert machine.boot() == 0
    assert set(results(machine.receipt()).values()) == {"ok"}
    assert not (machine.root / "root/.ssh").exists()
    assert not (machine.root / "etc/resolv.conf").exists()


def test_values_are_applied_literally_and_none_is_executed(
    machine: Machine, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    context = contexts.full(str(marker))
    dump = (
        OUT
        + b"""
. "$IMS_BOOTPARAMS"
i=0
while [ "$i" -lt "$IMS_PROPERTIES" ]; do
    eval "printf '%s\\0%s\\0' \\"\\$IMS_PROPERTY_${i}_NAME\\" \\"\\$IMS_PROPERTY_${i}_VALUE\\""
    i=$((i + 1))
done >"$out/seen"
"""
    )
    machine.boot_with(replace(context, scripts=(Script("dump", dump),)))
    seen = (machine.root / "seen").read_bytes().decode().split("\0")[:-1]
    properties = {**context.properties, **context.secrets}
    assert seen == [part for item in properties.items() for part in item]
    file = machine.root / context.files[0].path[1:]
    assert file.read_bytes() == context.files[0].content
    keys = machine.text("root/.ssh/authorized_keys").splitlines()
    assert set(context.ssh_keys) <= set(keys)
    assert not marker.exists()


def test_a_file_gets_its_content_and_mode_and_its_parents(machine: Machine) -> None:
    content = bytes(range(256)) * 300
    receipt = machine.boot_with(
        replace(
            contexts.small(),
            files=(
                File("/opt/new/dir/tool", content, 0o4750),
                File("/top", b"1"),
                File("/home/old", b"is a directory"),
                File("/etc/passwd/below", b"is below a file"),
                File("/etc/hosts", b"replaced\n"),
            ),
        )
    )
    assert (machine.root / "opt/new/dir/tool").read_bytes() == content
    assert machine.mode("opt/new/dir/tool") == 0o4750
    assert machine.mode("opt/new/dir") == 0o755
    assert machine.text("etc/hosts") == "replaced\n"
    outcome = results(receipt)
    assert outcome["files.2"] == "/home/old is a directory"
    assert outcome["files.3"] != "ok"
    assert [outcome[f"files.{index}"] for index in (0, 1, 4)] == ["ok"] * 3


def test_the_host_name_is_set_and_the_former_one_gone(machine: Machine) -> None:
    machine.boot_with(contexts.full())
    assert machine.text("etc/hostname") == "web-1.example.org\n"
    assert machine.text("etc/hosts").splitlines() == [
        "127.0.0.1\tlocalhost",
        "127.0.1.1 web-1.example.org web-1",
    ]
    assert "hostname web-1.example.org" in machine.commands()
    machine.boot_with(contexts.small())
    assert machine.text("etc/hosts").endswith("127.0.1.1 web-1\n")


def test_cards_are_matched_by_mac_and_configured(machine: Machine) -> None:
    machine.boot_with(contexts.full())
    run = f"{machine.root}/run/ims"
    assert [line for line in machine.commands() if line.startswith(("ip ", "udhcpc "))] == [
        "ip link set testnic0 up",
        "ip addr flush dev testnic0 scope global",
        "ip addr add 192.0.2.10/24 dev testnic0",
        "ip addr add 2001:db8::10/64 dev testnic0",
        "ip route replace default via 192.0.2.1 dev testnic0 metric 100",
        "ip -6 route replace default via fe80::1 dev testnic0 metric 100",
        "ip link set testnic1 up",
        "ip addr flush dev testnic1 scope global",
        f"udhcpc -i testnic1 -n -t 10 -T 1 -p {run}/dhcp.testnic1.pid",
    ]
    assert machine.text("etc/resolv.conf").splitlines() == [
        "search example.org example.com",
        "nameserver 192.0.2.53",
        "nameserver 2001:db8::53",
    ]
    assert machine.mode("etc/resolv.conf") == 0o644


def test_the_resolver_is_left_alone_where_the_context_names_none(machine: Machine) -> None:
    write_files(machine.root, {"etc/resolv.conf": b"nameserver 203.0.113.53\n"})
    cards = (Interface(mac=contexts.MAC), Interface(mac=contexts.DHCP_MAC))
    machine.boot_with(replace(contexts.small(), interfaces=cards))
    assert machine.text("etc/resolv.conf") == "nameserver 203.0.113.53\n"


def test_a_bridge_with_its_card_s_mac_is_not_taken_for_the_card(machine: Machine) -> None:
    write_files(
        machine.root,
        {
            "sys/class/net/abridge/address": contexts.MAC.encode() + b"\n",
            "sys/class/net/testnic0/device/vendor": b"",
            "sys/class/net/zbridge/address": contexts.MAC.encode() + b"\n",
        },
    )
    machine.boot_with(contexts.full())
    assert "ip link set testnic0 up" in machine.commands()


def test_a_missing_card_fails_alone(machine: Machine) -> None:
    card = Interface(mac="52:54:00:00:00:99")
    receipt = machine.boot_with(replace(contexts.full(), interfaces=(card,)))
    outcome = results(receipt)
    assert outcome["interfaces.0"] == "no network card has the address 52:54:00:00:00:99"
    assert outcome["users.0"] == outcome["scripts.0"] == "ok"


def test_users_are_made_with_keys_password_and_sudo(machine: Machine) -> None:
    machine.boot_with(contexts.full())
    assert machine.text("etc/passwd").splitlines()[2:] == [
        "alice:x:1011:1011::/home/alice:/bin/sh",
        "bob:x:1012:1012::/home/bob:/bin/sh",
    ]
    assert machine.text("etc/group").splitlines()[3:] == ["alice:x:1011:", "bob:x:1012:"]
    shadow = [line.split(":")[:2] for line in machine.text("etc/shadow").splitlines()]
    assert shadow == [["root", "*"], ["old", "!"], ["alice", contexts.HASH], ["bob", "*"]]
    assert machine.mode("etc/shadow") == 0o640
    assert "ssh-ed25519 AAAACCCC a\n" in machine.text("home/alice/.ssh/authorized_keys")
    assert machine.mode("home/alice/.ssh/authorized_keys") == 0o600
    assert machine.mode("home/alice/.ssh") == 0o700
    assert machine.text("etc/sudoers.d/ims-alice") == "alice ALL=(ALL:ALL) NOPASSWD:ALL\n"
    assert machine.mode("etc/sudoers.d/ims-alice") == 0o440
    assert not (machine.root / "etc/sudoers.d/ims-bob").exists()


def test_an_existing_user_keeps_what_is_its_own_and_loses_only_our_former_keys(
    machine: Machine,
) -> None:
    before = machine.text("etc/passwd")
    own = "ssh-rsa AAAAOLD own key\n"
    user = User("old", ("ssh-ed25519 AAAAONE", "ssh-ed25519 AAAATWO"), sudo=True)
    machine.boot_with(replace(contexts.small(), users=(user,)))
    keys = machine.text("home/old/.ssh/authorized_keys")
    assert keys.startswith(own)
    assert "ssh-ed25519 AAAAONE\nssh-ed25519 AAAATWO\n" in keys
    machine.boot_with(replace(contexts.small(), users=(User("old"),)))
    assert machine.text("home/old/.ssh/authorized_keys") == own
    assert machine.text("etc/passwd") == before
    assert "old:!:" in machine.text("etc/shadow")
    assert not (machine.root / "etc/sudoers.d/ims-old").exists()


def test_the_default_user_of_the_template_gets_the_keys_beside_its_own_as_a_user(
    machine: Machine,
) -> None:
    write_files(machine.root, {"etc/ims/default-user": b"old\n"})
    context = replace(
        contexts.small(),
        ssh_keys=("ssh-ed25519 AAAADEF",),
        users=(User("old", ("ssh-ed25519 AAAAUSR",)),),
    )
    machine.boot_with(context)
    keys = machine.text("home/old/.ssh/authorized_keys")
    assert "ssh-ed25519 AAAADEF\n" in keys
    assert "ssh-ed25519 AAAAUSR\n" in keys
    assert not (machine.root / "root/.ssh").exists()


def test_the_default_user_of_the_context_gets_the_keys_not_the_one_of_the_template(
    machine: Machine,
) -> None:
    write_files(machine.root, {"etc/ims/default-user": b"old\n"})
    context = replace(
        contexts.small(),
        ssh_keys=("ssh-ed25519 AAAADEF",),
        default_user="alice",
        users=(User("alice"),),
    )
    machine.boot_with(context)
    assert "ssh-ed25519 AAAADEF\n" in machine.text("home/alice/.ssh/authorized_keys")
    assert "DEF" not in machine.text("home/old/.ssh/authorized_keys")
    assert not (machine.root / "root/.ssh").exists()


def test_a_default_user_that_is_not_there_is_an_error_and_is_not_made(machine: Machine) -> None:
    context = replace(
        contexts.small(), ssh_keys=("ssh-ed25519 AAAADEF",), default_user="nobody-here"
    )
    receipt = machine.boot_with(context)
    assert results(receipt)["ssh_keys"] == "there is no user nobody-here"
    assert "nobody-here" not in machine.text("etc/passwd")


@pytest.mark.parametrize("name", ["old", "old\n"])
def test_a_medium_from_before_the_key_names_no_default_user(machine: Machine, name: str) -> None:
    write_files(machine.root, {"etc/ims/default-user": name.encode()})
    files = dict(render(replace(contexts.small(), ssh_keys=("ssh-ed25519 AAAADEF",))))
    conf = files["bootparams.conf"].replace(b"IMS_DEFAULT_USER=''\n", b"")
    assert conf != files["bootparams.conf"]
    machine.insert(files | {"bootparams.conf": conf})
    assert machine.boot() == 0
    assert "ssh-ed25519 AAAADEF\n" in machine.text("home/old/.ssh/authorized_keys")


def test_root_follows_no_link_that_a_user_laid(machine: Machine) -> None:
    target = machine.root / "target"
    target.mkdir()
    ssh = machine.root / "home/old/.ssh"
    (ssh / "authorized_keys").unlink()
    ssh.rmdir()
    ssh.symlink_to(target)
    receipt = machine.boot_with(replace(contexts.small(), users=(User("old", ("ssh-rsa AAAAX",)),)))
    assert results(receipt)["users.0"] == "/home/old/.ssh is a symbolic link"
    assert not list(target.iterdir())


def test_root_reads_and_writes_no_keys_by_a_user_s_link(machine: Machine) -> None:
    secret = write_files(machine.root, {"secret": b"root:hash\n"}) / "secret"
    keys = machine.root / "home/old/.ssh/authorized_keys"
    keys.unlink()
    keys.symlink_to(secret)
    receipt = machine.boot_with(replace(contexts.small(), users=(User("old", ("ssh-rsa AAAAX",)),)))
    assert results(receipt)["users.0"] == "/home/old/.ssh/authorized_keys is a symbolic link"
    assert keys.is_symlink()
    assert secret.read_bytes() == b"root:hash\n"


def test_mode_and_owner_are_set_where_only_root_can_be(machine: Machine) -> None:
    """Else the user whose directory it is could lay a link between two steps."""
    if "busybox" in machine.shell[0]:
        pytest.skip("busybox takes its own chmod, not the one of this test")
    spy = 'case $2 in ./*) stat -c "%a %u" . ;; esac >>"$0.seen"\nexec /bin/chmod "$@"\n'
    write_files(machine.root, {"fake-bin/chmod": f"#!/bin/sh\n{spy}".encode()})
    (machine.root / "fake-bin/chmod").chmod(0o755)
    context = replace(contexts.small(), users=(User("old", ("ssh-rsa AAAAX",)),),
                      files=(File("/home/old/conf", b"x", 0o644, "old:old"),))  # fmt: skip
    assert set(results(machine.boot_with(context)).values()) == {"ok"}
    assert set(machine.text("fake-bin/chmod.seen").splitlines()) == {f"700 {os.geteuid()}"}
    assert machine.text("home/old/conf") == "x"
    assert not list(machine.root.rglob(".ims-new"))


def test_a_link_laid_where_a_file_is_made_is_not_followed(machine: Machine) -> None:
    target = write_files(machine.root, {"target/conf": b"root's"}) / "target"
    (machine.root / "home/old/.ims-new").symlink_to(target)
    receipt = machine.boot_with(
        replace(contexts.small(), files=(File("/home/old/conf", b"x"), File("/etc/other", b"y")))
    )
    said = results(receipt)
    assert said["files.0"] == "/home/old/conf could not be written"
    assert said["files.1"] == "ok"
    assert (target / "conf").read_bytes() == b"root's"


def test_a_file_replaces_a_link_to_a_directory_and_does_not_go_into_it(machine: Machine) -> None:
    made = write_files(machine.root, {"target/conf": b"root's", "home/old/.ims-new/conf": b"old"})
    (made / "home/old/link").symlink_to(made / "nowhere")
    machine.boot_with(replace(contexts.small(), files=(File("/home/old/link", b"x"),)))
    assert not (made / "home/old/link").is_symlink()
    assert (made / "home/old/link").read_bytes() == b"x"


def test_who_was_the_default_user_before_has_its_keys_no_longer(machine: Machine) -> None:
    context = replace(contexts.small(), ssh_keys=("ssh-ed25519 AAAADEF",), default_user="old")
    machine.boot_with(context)
    assert "DEF" in machine.text("home/old/.ssh/authorized_keys")
    machine.boot_with(replace(context, default_user="root"), "n-2")
    assert machine.text("home/old/.ssh/authorized_keys") == "ssh-rsa AAAAOLD own key\n"
    assert "DEF" in machine.text("root/.ssh/authorized_keys")


def test_scripts_run_in_order_after_everything_else_with_a_clean_environment(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAK", "x")
    context = replace(
        contexts.small(),
        files=(File("/etc/there", b""),),
        scripts=(
            Script("no interpreter", OUT + b'[ -e "$out/etc/there" ] && echo 1 >>"$out/seen"'),
            Script("fails", b"#!/bin/sh\necho to the log\necho s3cret >&2\nexit 7\n"),
            Script("last", b"#!/bin/sh\n" + OUT + b'umask >>"$out/seen"; env >"$out/env"; cat'),
        ),
    )
    receipt = machine.boot_with(context)
    outcome = results(receipt)
    assert outcome["scripts.1"].startswith("exit status 7")
    assert outcome["scripts.0"] == outcome["scripts.2"] == "ok"
    assert machine.text("seen").split() == ["1", "0022"]
    names = {line.split("=")[0] for line in machine.text("env").splitlines()}
    assert names <= {"PATH", "HOME", "IMS_BOOTPARAMS", "PWD", "_", "SHLVL", "OLDPWD"}
    assert machine.mode("var/lib/ims/scripts/0000") == 0o700
    assert "to the log" in machine.text("var/log/ims-context.log")
    assert machine.mode("var/log/ims-context.log") == 0o600
    assert "s3cret" not in machine.output + machine.text("run/ims/receipt")


def test_a_second_boot_runs_nothing_again_and_answers_with_the_new_nonce(machine: Machine) -> None:
    script = Script("count", OUT + b'echo x >>"$out/count"')
    failing = Script("fails", b"exit 1")
    context = replace(contexts.full(), scripts=(script, failing), files=(File("/f", b"ours"),))
    first = machine.boot_with(context, "n-1")
    (machine.root / "f").write_text("changed in the guest")
    (machine.root / "run/ims/commands").unlink()
    second = machine.boot_with(context, "n-2")
    assert machine.text("count") == "x\n"
    assert machine.text("f") == "changed in the guest"
    assert (first.nonce, second.nonce) == ("n-1", "n-2")
    assert (first.digest, first.items) == (second.digest, second.items)
    assert "ip link set testnic0 up" in machine.commands()


def counting(name: str, after: bytes = b"") -> Script:
    """A script that writes its name down whenever it runs."""
    return Script(name, OUT + f'echo {name} >>"$out/count"\n'.encode() + after)


#: One item of each kind that is applied once for each content.
ONCE = replace(
    contexts.small(),
    ssh_keys=("ssh-ed25519 AAAADEF",),
    users=(User("alice", ("ssh-ed25519 AAAAA",)),),
    files=(File("/f", b"ours"),),
    scripts=(counting("one"),),
)


def undo_in_the_guest(machine: Machine) -> None:
    for path in ("f", "home/alice/.ssh/authorized_keys", "root/.ssh/authorized_keys", "count"):
        (machine.root / path).write_text("undone\n")


def applied_again(machine: Machine) -> set[str]:
    """Which items of ONCE, or of what became of it, were applied since they were undone."""
    paths = {
        "files": "f",
        "users": "home/alice/.ssh/authorized_keys",
        "ssh_keys": "root/.ssh/authorized_keys",
        "scripts": "count",
    }
    return {kind for kind, path in paths.items() if machine.text(path) != "undone\n"}


def test_what_is_told_as_done_is_on_the_disk(machine: Machine) -> None:
    """Or a power cut would leave a record, and a receipt, of what was lost."""
    machine.boot_with(ONCE)
    before_the_script, before_the_receipt = 1, 1
    each_record = len(ONCE.users) + len(ONCE.files) + len(ONCE.scripts) + 1  # and the keys
    written = machine.commands().count("sync")
    assert written == each_record + before_the_script + before_the_receipt
    assert machine.commands()[-1] == "sync"
    (machine.root / "run/ims/commands").unlink()
    machine.boot_with(ONCE)
    assert machine.commands().count("sync") == before_the_receipt


@pytest.mark.parametrize(
    ("fields", "again"),
    [
        ({"hostname": "web-2"}, set()),
        ({"interfaces": (Interface(mac=contexts.MAC, addresses=("192.0.2.11/24",)),)}, set()),
        ({"properties": {"a": "b"}, "user_data": b"x"}, set()),
        ({"scripts": (Script("new", b""), *ONCE.scripts)}, set()),
        ({"files": (File("/new", b""), *ONCE.files), "users": (User("b"), *ONCE.users)}, set()),
        ({"scripts": (counting("one", b"#"),)}, {"scripts"}),
        ({"scripts": (replace(ONCE.scripts[0], name="two"),)}, {"scripts"}),
        ({"files": (File("/f", b"new"),)}, {"files"}),
        ({"files": (File("/f", b"ours", 0o600),)}, {"files"}),
        ({"files": (File("/f", b"ours", owner="bob"),)}, {"files"}),
        ({"users": (User("alice", ("ssh-ed25519 AAAAB",)),)}, {"users"}),
        ({"users": (replace(ONCE.users[0], sudo=True),)}, {"users"}),
        ({"users": (replace(ONCE.users[0], password_hash=contexts.HASH),)}, {"users"}),
        ({"ssh_keys": ("ssh-ed25519 AAAANEW",)}, {"ssh_keys"}),
        ({"default_user": "root"}, {"ssh_keys"}),
    ],
)
def test_an_item_is_applied_again_only_if_it_changed_itself(
    machine: Machine, fields: dict[str, Any], again: set[str]
) -> None:
    first = machine.boot_with(ONCE)
    undo_in_the_guest(machine)
    second = machine.boot_with(replace(ONCE, **fields))
    assert applied_again(machine) == again
    assert first.digest != second.digest
    assert {item.name for item in first.items} <= {item.name for item in second.items}
    assert set(results(second).values()) == {"ok"}


def test_a_path_is_of_a_file_s_content_and_where_one_value_ends_too(machine: Machine) -> None:
    machine.boot_with(replace(contexts.small(), files=(File("/f", b"1"), File("/a", b""))))
    machine.boot_with(replace(contexts.small(), files=(File("/g", b"1"), File("/a", b"\0"))))
    assert machine.text("g") == "1"
    assert machine.text("a") == "\0"


def test_what_failed_is_tried_again_for_another_digest_only(machine: Machine) -> None:
    context = replace(contexts.small(), scripts=(counting("fails", b"exit 1"), counting("works")))
    first, second = machine.boot_with(context), machine.boot_with(context)
    assert results(first) == results(second)
    assert machine.text("count").split() == ["fails", "works"]
    third = machine.boot_with(replace(context, hostname="web-2"))
    assert machine.text("count").split() == ["fails", "works", "fails"]
    assert results(third)["scripts.0"].startswith("exit status 1")


def test_what_a_context_left_out_or_changed_is_applied_anew_by_a_later_one(
    machine: Machine,
) -> None:
    other = replace(ONCE, files=(File("/f", b"theirs"),), scripts=())
    machine.boot_with(ONCE)
    machine.boot_with(other)
    assert machine.text("f") == "theirs"
    machine.boot_with(ONCE)
    assert machine.text("f") == "ours"
    assert machine.text("count").split() == ["one", "one"]


#: Takes the machine down: every shell above that runs the program, the outermost first.
KILL = b"""
pid=$PPID victims=
while :; do
    case $(tr '\\000' ' ' <"/proc/$pid/cmdline") in
    *--medium*) victims="$pid $victims" ;;
    *) [ -z "$victims" ] || break ;;
    esac
    read -r _ _ _ pid _ <"/proc/$pid/stat"
done
kill -9 $victims
"""


def test_a_machine_that_went_down_while_it_changed_is_changed_back(machine: Machine) -> None:
    machine.boot_with(ONCE)
    machine.insert(render(replace(ONCE, files=(File("/f", b"x"),), scripts=(Script("k", KILL),))))
    assert machine.boot() == -9
    assert machine.text("f") == "x"
    machine.boot_with(ONCE)
    assert machine.text("f") == "ours"


def test_the_records_are_of_the_present_context_alone_however_many_there_were(
    machine: Machine,
) -> None:
    record = machine.root / "var/lib/ims/applied"
    for index in range(5):
        changing = (Script("new", b"#%d" % index), Script("fails", b"exit 1"))
        machine.boot_with(
            replace(ONCE, hostname=f"web-{index}", scripts=(*ONCE.scripts, *changing))
        )
    assert len(record.read_text().splitlines()) <= 9  # three scripts have two each
    assert machine.text("count") == "one\n"
    assert machine.mode("var/lib/ims/applied") == 0o600


@pytest.mark.parametrize("old", ["digest 0a\nitem scripts.0 ok\n", "\0\0", "item", ""])
def test_records_of_another_program_are_ignored(machine: Machine, old: str) -> None:
    write_files(machine.root, {"var/lib/ims/applied": old.encode()})
    machine.boot_with(ONCE)
    machine.boot_with(ONCE)
    assert machine.text("count") == "one\n"
    assert "item" not in machine.text("var/lib/ims/applied")


@pytest.mark.parametrize("kept", [1, 66, 131])
def test_a_record_cut_off_by_a_crash_spoils_no_other(machine: Machine, kept: int) -> None:
    context = replace(ONCE, scripts=())
    machine.boot_with(context)
    record = machine.root / "var/lib/ims/applied"
    *whole, last = record.read_text().splitlines()
    record.write_text("\n".join([*whole, last[:kept]]))
    undo_in_the_guest(machine)
    machine.boot_with(context)
    assert applied_again(machine) == {"files"}
    undo_in_the_guest(machine)
    machine.boot_with(context)
    assert applied_again(machine) == set()


def test_a_context_of_as_many_items_as_may_be_is_answered_for_in_full(machine: Machine) -> None:
    # Each is a directory with a name too long for the longest message.
    paths = [f"/{index:0240}" for index in range(MAX_ITEMS)]
    for path in paths:
        (machine.root / path[1:]).mkdir()
    context = replace(contexts.small(), files=tuple(File(path, b"") for path in paths))
    files = render(context)
    machine.insert(files)
    machine.boot()
    sent = (machine.root / "dev/vport1p2").read_bytes()
    receipt = parse_receipt((b"earlier\n" * RECEIPT_BYTES + sent)[-RECEIPT_BYTES:])
    assert receipt
    assert receipt.digest == digest_of(files)
    failed = [item for item in receipt.items if not item.ok]
    assert [item.name for item in failed] == [f"files.{index}" for index in range(MAX_ITEMS)]
    assert {len(item.message) for item in failed} == {200}
    assert len(sent) > RECEIPT_BYTES // 3


def test_a_script_that_brings_the_machine_down_is_not_run_at_each_boot(machine: Machine) -> None:
    context = replace(contexts.small(), scripts=(counting("kills", KILL), counting("next")))
    machine.insert(render(context))
    assert machine.boot() == -9
    machine.boot()
    machine.boot()
    assert machine.text("count").split() == ["kills", "next"]
    outcome = results(machine.receipt())
    assert outcome["scripts.0"] == "it was started and did not end"
    assert outcome["scripts.1"] == "ok"


def test_a_changed_byte_on_the_medium_gives_another_digest(machine: Machine) -> None:
    files = dict(render(replace(contexts.small(), files=(File("/a", b"right"),))))
    machine.insert(files | {"files/0000": b"wrong"})
    machine.boot()
    assert machine.receipt().digest not in ("", digest_of(files))


@pytest.mark.parametrize(
    "conf",
    [
        b"",
        b"IMS_FORMAT='2'\n",
        b"IMS_FORMAT='1'\ntouch {marker}\n",
        b"IMS_FORMAT='1'\nIMS_HOSTNAME=$(touch {marker})\n",
        b"IMS_FORMAT='1'\nIMS_HOSTNAME='a'$(touch {marker})\n",
        b"IMS_FORMAT='1'\nIMS_HOSTNAME='a'; touch {marker}\n",
        b"IMS_FORMAT='1'\nIMS_HOSTNAME='a' touch {marker}\n",
        b"IMS_FORMAT='1'\nIMS_HOSTNAME='a'; touch {marker}; '\n'\n",
        b"IMS_FORMAT='1'\nIMS_HOSTNAME='a\n",
        b"IMS_FORMAT='1'\nIMS_HOSTNAME='a\\''\ntouch {marker}\n",
        b"IMS_FORMAT='1'\nPATH='{marker}'\n",
        b"IMS_FORMAT='1'\nIMS_A\n",
        b"IMS_FORMAT='1'\nIMS_A='\0'\n",
    ],
)
def test_a_file_outside_the_grammar_is_reported_and_nothing_of_it_is_done(
    machine: Machine, tmp_path: Path, conf: bytes
) -> None:
    marker = tmp_path / "marker"
    files = {"bootparams.conf": conf.replace(b"{marker}", str(marker).encode())}
    machine.insert(files)
    assert machine.boot() == 1
    assert not marker.exists()
    receipt = machine.receipt()
    assert receipt.digest == digest_of(files)
    assert list(results(receipt)) == ["bootparams"]
    assert results(receipt)["bootparams"].startswith("bootparams.conf ")
    assert machine.commands() == []


def test_a_medium_without_the_file_is_reported(machine: Machine) -> None:
    machine.insert({"other": b""})
    assert machine.boot() == 1
    assert results(machine.receipt()) == {"bootparams": "the medium has no bootparams.conf"}


def test_the_receipt_goes_to_the_port_of_its_name_and_ends_what_was_half_sent(
    machine: Machine,
) -> None:
    port = machine.root / "dev/vport1p2"
    machine.boot_with(contexts.small())
    sent = port.read_bytes()
    assert sent == b"\n" + (machine.root / "run/ims/receipt").read_bytes()
    assert parse_receipt(b"IMS-RECEIPT 1\nitem half" + sent) == machine.receipt()


def test_a_machine_without_a_port_still_keeps_its_receipt(machine: Machine) -> None:
    (machine.root / "sys/class/virtio-ports/vport1p2/name").unlink()
    machine.boot_with(contexts.small())
    assert machine.receipt().nonce == "n-1"


def serial(machine: Machine, product: bytes = b"VirtualBox\n", kind: bytes = b"4\n") -> Path:
    """A second serial port on a machine without a virtio port for receipts."""
    (machine.root / "sys/class/virtio-ports/vport1p2/name").write_text("org.other.0\n")
    files = {
        "sys/class/dmi/id/product_name": product,
        "sys/class/tty/ttyS1/type": kind,
        "dev/ttyS1": b"",
    }
    return write_files(machine.root, files) / "dev/ttyS1"


def test_in_virtualbox_the_receipt_goes_to_the_second_serial_port(machine: Machine) -> None:
    port = serial(machine)
    machine.boot_with(contexts.small())
    sent = port.read_bytes()
    assert sent == b"\n" + (machine.root / "run/ims/receipt").read_bytes()
    # What a terminal makes of its lines is read as well.
    assert parse_receipt(sent.replace(b"\n", b"\r\n")) == machine.receipt()


NO_PORTS = {
    "another hypervisor": {"product": b"KVM\n"},
    "a machine that names it": {"product": b"VirtualBox Server 9\n"},
    "no UART": {"kind": b"0\n"},
    "no type": {"kind": b""},
}


@pytest.mark.parametrize("kind", NO_PORTS, ids=str)
def test_a_serial_port_that_may_be_somebody_s_gets_no_receipt(machine: Machine, kind: str) -> None:
    port = serial(machine, **NO_PORTS[kind])
    assert machine.boot_with(contexts.small()).nonce == "n-1"
    assert port.read_bytes() == b""
    assert "nobody took the receipt" not in machine.output


@pytest.mark.parametrize("path", ["sys/class/dmi/id/product_name", "sys/class/tty/ttyS1/type"])
def test_a_machine_that_tells_nothing_of_its_ports_gets_no_receipt(
    machine: Machine, path: str
) -> None:
    port = serial(machine)
    (machine.root / path).unlink()
    assert machine.boot_with(contexts.small()).nonce == "n-1"
    assert port.read_bytes() == b""


def test_a_port_for_receipts_is_preferred_to_a_serial_port(machine: Machine) -> None:
    port = serial(machine)
    (machine.root / "sys/class/virtio-ports/vport1p2/name").write_text("org.ims.receipt.0\n")
    machine.boot_with(contexts.small())
    assert port.read_bytes() == b""
    assert parse_receipt((machine.root / "dev/vport1p2").read_bytes()) == machine.receipt()


@pytest.mark.parametrize("nonce", ["", "a b\n'$(id)", "x" * 100])
def test_an_odd_nonce_leaves_the_receipt_well_formed(machine: Machine, nonce: str) -> None:
    assert machine.boot_with(contexts.small(), nonce).items


def test_secrets_are_for_root_only_and_never_printed_or_logged(machine: Machine) -> None:
    context = replace(contexts.full(), secrets={"password": "s3cret"}, user_data=b"s3cret")
    machine.boot_with(context)
    public = machine.output + machine.text("var/log/ims-context.log")
    assert "s3cret" not in public + machine.text("run/ims/receipt")
    assert "$6$" not in public
    assert machine.mode("run/ims") == 0o700
    assert machine.mode("run/ims/bootparams.conf") == 0o600
    assert machine.mode("run/ims/user-data") == 0o600
    assert (machine.root / "run/ims/user-data").read_bytes() == b"s3cret"
    assert not (machine.root / "run/ims/medium").exists()


def test_directories_of_the_system_stay_open_to_all(machine: Machine) -> None:
    machine.boot_with(contexts.small())
    assert [machine.mode(path) for path in ("run", "var", "var/log", "var/lib")] == [0o755] * 4


def test_a_medium_that_cannot_be_read_is_an_error(machine: Machine) -> None:
    assert machine.boot() == 1
    assert "cannot be read" in machine.output


@pytest.mark.disk_label
def test_a_machine_without_a_medium_has_nothing_to_do(machine: Machine) -> None:
    done = subprocess.run(
        [*machine.shell, machine.program, "--root", machine.root, "--wait", "0"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "no context was found" in done.stdout


def test_addresses_of_the_machine_s_own_cards_are_in_the_receipt(machine: Machine) -> None:
    if "busybox" in machine.shell[0]:
        pytest.skip("busybox takes its own ip, not the one of this test")
    fake = machine.root / "fake-bin/ip"
    write_files(
        machine.root,
        {
            "fake-bin/ip": b"""#!/bin/sh
cat <<'END'
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
2: testnic0    inet 192.0.2.10/24 brd 192.0.2.255 scope global testnic0\\       valid_lft forever
2: testnic0    inet6 2001:db8::10/64 scope global \\       valid_lft forever preferred_lft forever
2: testnic0    inet6 fe80::1/64 scope link \\       valid_lft forever preferred_lft forever
3: testnic1@if5    inet 198.51.100.7/24 scope global dynamic testnic1\\       valid_lft 3000sec
4: tun0    inet 10.0.0.1 peer 10.0.0.2/32 scope global tun0\\       valid_lft forever
5: other    inet 203.0.113.1/24 scope global other\\       valid_lft forever
END
"""
        },
    )
    fake.chmod(0o755)
    receipt = machine.boot_with(contexts.small())
    assert [(a.mac, a.address, a.source) for a in receipt.addresses] == [
        (contexts.MAC, "192.0.2.10/24", "receipt"),
        (contexts.MAC, "2001:db8::10/64", "receipt"),
        (contexts.DHCP_MAC, "198.51.100.7/24", "receipt"),
    ]


def test_more_addresses_than_a_receipt_may_have_do_not_spoil_it(machine: Machine) -> None:
    if "busybox" in machine.shell[0]:
        pytest.skip("busybox takes its own ip, not the one of this test")
    line = "2: testnic0    inet6 2001:db8::{:x}/64 scope global"
    lines = "\n".join(line.format(index) for index in range(1001))
    fake = machine.root / "fake-bin/ip"
    write_files(machine.root, {"fake-bin/ip": f"#!/bin/sh\ncat <<END\n{lines}\nEND\n".encode()})
    fake.chmod(0o755)
    assert len(machine.boot_with(contexts.small()).addresses) == 500
