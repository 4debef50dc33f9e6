"""Contexts for the tests: one that uses every field, and texts that quoting likes to get wrong."""

from __future__ import annotations

from hypothesis import strategies as st

from ims_core.models import Context, File, HostKey, Interface, Script, User

#: A marker file that must never come to be: who executes a value makes it.
HOSTILE = (
    "$(touch {marker})",
    "`touch {marker}`",
    "'; touch {marker}; '",
    "'\\''; touch {marker} #",
    '"; touch {marker}; "',
    "a\n touch {marker}\n'",
    "${{IFS}} \\ \\n $HOME ~ * ? [a-z] ! # & | < >",
    "line\n'\n''\n\\\nend\n",
    "Grüße, мир, 世界 🙂",
    "\x01\x7f\x80\x81\x85\x9f\u00ad\u2028\u2029\ufeff\uffff\U0010ffff",
    "\t\r\n\v\f ",
    "%s %d \\0 \\x41",
    "=",
    "'",
    "",
)

#: Any value: all of Unicode but NUL and surrogates, with a liking for what is special.
VALUES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    | st.sampled_from("'\\\"$`\n\r\t !*?=#;&|()<>~\x80\x81\x85\u2028"),
    max_size=60,
)

#: Scripts of any bytes, but for what cloud-init takes for a message: nothing of ours can be added
#: to that. (Hypothesis puts constants of the code under test into what it makes.)
SCRIPTS = (
    st.binary(max_size=100)
    .filter(lambda raw: b"mime-version:" not in raw.lower())
    .map(lambda raw: b"#!/bin/sh\n" + raw)
)

#: Not a hash of anything, but with what awk and sed would take for their own.
HASH = "$6$sa.lt/&\\1\\n$" + "./Az09" * 14 + "xy"

HOST_KEY = HostKey(
    "ed25519",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    + ("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n" * 3)
    + "-----END OPENSSH PRIVATE KEY-----\n",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl web-1",
)

MAC = "52:54:00:12:34:56"
DHCP_MAC = "52:54:00:12:34:57"


def hostile_values(marker: str) -> list[str]:
    return [text.format(marker=marker) for text in HOSTILE]


def small() -> Context:
    return Context("7c1f5a0e-5f9c-4b57-9a3b-2f6f4f0f8f11", "web-1")


def full(marker: str = "/nonexistent/marker") -> Context:
    values = hostile_values(marker)
    return Context(
        "7c1f5a0e-5f9c-4b57-9a3b-2f6f4f0f8f11",
        "web-1.example.org",
        interfaces=(
            Interface(
                mac=MAC,
                addresses=("192.0.2.10/24", "2001:db8::10/64"),
                gateways=("192.0.2.1", "fe80::1"),
                nameservers=("192.0.2.53", "2001:db8::53"),
                search=("example.org", "example.com"),
            ),
            Interface(mac=DHCP_MAC),
        ),
        ssh_keys=(f"ssh-ed25519 AAAA $(touch {marker}) 'x' é", "ssh-ed25519 AAAABBBB bob"),
        users=(
            User("alice", ("ssh-ed25519 AAAACCCC a",), HASH, sudo=True),
            User("bob"),
        ),
        host_keys=(HOST_KEY,),
        properties={f"p{index} $(touch {marker})": text for index, text in enumerate(values)},
        secrets={"pass word": "s3cret'$(id)"},
        files=(
            File(f"/opt/a b/$(touch {marker.replace('/', '_')})'é", b"\0\xff\n'", 0o640, "bob:bob"),
            File("/motd", b""),
        ),
        scripts=(Script("first", b"#!/bin/sh\nexit 0\n"), Script("second one", b"exit 3\n")),
    )
