"""What ssh_config says about a host, with OpenSSH's own ``ssh -G`` as the judge."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ims_core.errors import ConfigError
from ims_shell import ssh_config, ssh_files
from ims_shell.ssh_config import AGREED, HONOURED, IGNORED, Hop, Host, look_up

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str, name: str = "config") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def judge(config: str, name: str, *options: str) -> dict[str, list[str]]:
    """What OpenSSH itself makes of it; one word can have several values."""
    done = subprocess.run(
        ["ssh", "-G", "-F", config, *options, name], check=True, capture_output=True, text=True
    )
    said: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        word, _, value = line.partition(" ")
        said.setdefault(word, []).append(value)
    return said


def agrees(config: str, name: str, *, user: str = "", port: int = 0) -> Host:
    options = [*(["-l", user] if user else []), *(["-p", str(port)] if port else [])]
    said, host = judge(config, name, *options), look_up(name, config=config, user=user, port=port)
    assert host.address == said["hostname"][0]
    assert str(host.port) == said["port"][0]
    assert host.user == said["user"][0]
    if host.identity_files is not None:
        assert [str(path) for path in host.identity_files] == [
            name for name in said["identityfile"] if name != "none"
        ]
    assert host.identities_only == (said["identitiesonly"][0] == "yes")
    command = said.get("proxycommand", ["none"])[0]
    command = command.replace("%h", host.address).replace("%p", str(host.port))
    assert (host.command or "none") == command
    jumps = said.get("proxyjump", [""])[0]
    assert list(host.jumps) == [ssh_config.parse_hop(hop, "") for hop in jumps.split(",") if hop]
    own = [str(path) for path in host.known_hosts[:-1]]
    assert own == said["userknownhostsfile"][0].split()
    return host


ALL = "Host *\n UserKnownHostsFile /k/known /k/more\n"

CONFIGS = [
    "Host lab\n HostName 192.0.2.1\n Port 2222\n User admin\n",
    "Port 2000\nHost lab\n Port 2001\n",
    "Host other lab\n User first\nHost *\n User second\n Port 77\n",
    "Host * !lab\n User no\nHost !other *\n User yes\n",
    "Host l?b\n HostName %h.example.org\n",
    "Host LAB\n User upper\nHost lab\n User lower\n",
    "Host [l]ab\n User brackets\n",
    "Host lab\n HostName EXAMPLE.Org\n",
    "Host=lab\n  HostName = 192.0.2.9\nPort=23\n",
    '  Host "lab"\n\tIdentityFile "/k/with space"\n\tIdentityFile /k/2\n',
    "Host lab\n IdentityFile /k/1\nHost *\n IdentityFile /k/2\n IdentityFile /k/1\n",
    "Host lab\n IdentitiesOnly yes\nHost *\n IdentitiesOnly no\n",
    "Host lab # a comment\n User me # another\n# Port 3\n",
    "Host lab\n ProxyJump first\nHost *\n ProxyCommand nc %h %p\n",
    'Host lab\n ProxyCommand nc -x "a b" %h %p # kept\nHost *\n ProxyJump first\n',
    "Host lab\n ProxyJump me@first:2222,ssh://you@second:22\n",
    "Host lab\n ProxyJump first,[2001:db8::1]:22\n",
    "Host lab\n ProxyJump none\nHost *\n ProxyJump first\n ProxyCommand nc %h %p\n",
    "Host lab\n ProxyCommand none\nHost *\n ProxyCommand nc %h %p\n",
    "Host lab\n HostName real\nMatch host real\n User by-host\n",
    "Match host lab\n User early\nHost lab\n HostName real\n",
    "Match originalhost lab,other\n User orig\n",
    "Match originalhost=lab\n User equals\n",
    "Match !host lab\n User not\nMatch all\n Port 9\n",
    "Host lab\n User me\nMatch user me\n Port 10\nMatch user you\n Port 11\n",
    "Match localuser root\n Port 12\nMatch !localuser root\n Port 13\n",
    "Match host lab user nobody-here\n Port 1\nMatch host LAB\n Port 14\n",
    "Match final all\n User last\nHost lab\n User first\n",
    "Match final host real\n Port 15\nHost lab\n HostName real\n",
    "Match canonical\n Port 16\n",
    "Match host nothing exec /bin/false\n Port 17\n",
    "User a\nUser b\n\n\tPort\t5\n",
    "Host lab\n IdentityFile none\n",
]


@needs_ssh
@pytest.mark.parametrize("text", CONFIGS)
@pytest.mark.parametrize("name", ["lab", "other", "192.0.2.77"])
def test_openssh_says_the_same(write: Callable[[str], str], text: str, name: str) -> None:
    agrees(write(text + ALL), name)


@needs_ssh
@pytest.mark.parametrize("text", CONFIGS)
def test_openssh_says_the_same_where_user_and_port_are_given(
    write: Callable[[str], str], text: str
) -> None:
    agrees(write(text + ALL), "lab", user="me", port=99)


NAMES = st.sampled_from(["lab", "real", "other", "lab.example.org"])
PATTERNS = st.sampled_from(["lab", "real", "*", "l*", "!lab", "!*.org", "*.example.???", "!real"])
HEADS = st.one_of(
    st.lists(PATTERNS, min_size=1, max_size=3).map(lambda them: "Host " + " ".join(them)),
    st.tuples(
        st.sampled_from(["host", "originalhost", "user", "localuser", "!host", "!user"]),
        st.lists(PATTERNS, min_size=1, max_size=2).map(",".join),
    ).map(lambda parts: "Match " + " ".join(parts)),
    st.sampled_from(["Match all", "Match final all", "Match final host real", "Match !final all"]),
)
LINES = st.one_of(
    NAMES.map(lambda name: f" HostName {name}"),
    st.just(" HostName %h.example.org"),
    NAMES.map(lambda name: f" User {name}"),
    st.integers(1, 65535).map(lambda port: f" Port {port}"),
    st.integers(1, 3).map(lambda n: f" IdentityFile /k/{n}"),
    st.sampled_from([" ProxyJump first", " ProxyJump none", " ProxyJump a@first:3,second"]),
    st.sampled_from([" ProxyCommand nc %h %p", " ProxyCommand none"]),
    st.sampled_from([" IdentitiesOnly yes", " identitiesonly=no", " # nothing", ""]),
)
TEXTS = st.lists(st.tuples(HEADS, st.lists(LINES, max_size=4)), max_size=5).map(
    lambda blocks: "".join("\n".join([head, *lines, ""]) for head, lines in blocks)
)


@needs_ssh
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=TEXTS, name=NAMES)
def test_openssh_says_the_same_about_anything(
    write: Callable[[str], str], text: str, name: str
) -> None:
    agrees(write(text + ALL), name)


# --- what is expanded ----------------------------------------------------------------------------


def test_names_of_files_are_expanded(
    write: Callable[[str], str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHICH", "mine")
    config = write(
        "Host lab\n HostName real\n User me\n Port 23\n IdentityFile ~/%n-%h-%p-%r-${WHICH}\n"
        " IdentityFile %d/100%%\n UserKnownHostsFile ~/%k\n ProxyCommand to %n %h %p %r ${WHICH}\n"
    )
    host = look_up("lab", config=config)
    assert host.identity_files == (home / "lab-real-23-me-mine", home / "100%")
    assert host.known_hosts[0] == home / "lab"
    assert host.command == "to lab real 23 me ${WHICH}"


@pytest.mark.parametrize("value", ["%C", "%z", "%", "${NOT_THERE}"])
def test_what_cannot_be_expanded_is_an_error(write: Callable[[str], str], value: str) -> None:
    with pytest.raises(ConfigError, match="expanded"):
        look_up("lab", config=write(f"IdentityFile /k/{value}\n"))


@pytest.mark.parametrize("name", ["$(id)", "-oX", "a;b", "a b"])
def test_a_name_that_a_shell_would_read_is_not_handed_to_one(
    write: Callable[[str], str], name: str
) -> None:
    config = write("Host *\n ProxyCommand nc %h\n")
    with pytest.raises(ConfigError, match="shell"):
        look_up(name, config=config)
    with pytest.raises(ConfigError, match="shell"):
        look_up("lab", config=config, user=name)


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("a", Hop("a", "", 0)),
        ("me@a:22", Hop("a", "me", 22)),
        ("ssh://me@a:22", Hop("a", "me", 22)),
        ("[2001:db8::1]:22", Hop("2001:db8::1", "", 22)),
        ("me@corp@a", Hop("a", "me@corp", 0)),
    ],
)
def test_a_hop_is_read(text: str, hop: Hop) -> None:
    assert ssh_config.parse_hop(text, "here") == hop


@pytest.mark.parametrize("text", ["", "a:", "a:0", "a:65536", "a:b", "me@"])
def test_a_hop_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        ssh_config.parse_hop(text, "here")


# --- which words count ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "HostKeyAlias other",
        "StrictHostKeyChecking no",
        "StrictHostKeyChecking accept-new",
        "Ciphers aes128-ctr",
        "BindAddress 192.0.2.1",
        "CertificateFile /k/cert",
        "PKCS11Provider /lib/x.so",
        "CanonicalizeHostname yes",
        "GlobalKnownHostsFile /k/known",
        "IdentityAgent /k/agent",
        "KnownHostsCommand /bin/x",
        "PubkeyAuthentication no",
        "VerifyHostKeyDNS yes",
        "PermitLocalCommand yes",
        "RemoteCommand x",
        "NoSuchWord x",
    ],
)
def test_a_word_that_cannot_be_obeyed_is_refused(write: Callable[[str], str], line: str) -> None:
    config = write(f"Host lab\n {line}\n")
    with pytest.raises(ConfigError) as caught:
        look_up("lab", config=config)
    assert line.partition(" ")[0] in caught.value.message
    assert f"{config}:2" in caught.value.message
    assert caught.value.hint
    assert look_up("other", config=config).address == "other"


def test_a_word_that_comes_second_does_not_count(write: Callable[[str], str]) -> None:
    look_up("lab", config=write("StrictHostKeyChecking yes\nStrictHostKeyChecking no\n"))
    with pytest.raises(ConfigError):
        look_up("lab", config=write("StrictHostKeyChecking no\nStrictHostKeyChecking yes\n"))


@pytest.mark.parametrize("word", sorted(IGNORED))
def test_a_word_without_consequences_is_passed_over(write: Callable[[str], str], word: str) -> None:
    expected = look_up("lab", config=write(""))
    assert look_up("lab", config=write(f"{word.lower()} anything at all\n")) == expected


@pytest.mark.parametrize("word", sorted(AGREED))
def test_a_word_may_say_what_is_done_anyway(write: Callable[[str], str], word: str) -> None:
    for value in AGREED[word]:
        look_up("lab", config=write(f"{word} {value}\n"))


def test_no_word_is_in_two_lists() -> None:
    words = [word.lower() for words in (HONOURED, IGNORED, AGREED) for word in words]
    assert len(words) == len(set(words))


@needs_ssh
def test_all_words_are_words_of_openssh(write: Callable[[str], str]) -> None:
    newer = {"ObscureKeystrokeTiming", "UseKeychain", "ForkAfterAuthentication"}
    for word in sorted((IGNORED | HONOURED | set(AGREED)) - newer):
        config = write(f"{word} 1\n")
        done = subprocess.run(
            ["ssh", "-G", "-F", config, "lab"], check=False, capture_output=True, text=True
        )
        assert "Bad configuration option" not in done.stderr, word


def test_a_condition_never_runs_a_command(write: Callable[[str], str], tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    config = write(f"Match host lab exec 'touch {ran}'\n Port 1\n")
    with pytest.raises(ConfigError, match="exec"):
        look_up("lab", config=config)
    assert look_up("other", config=config).port == 22
    assert not ran.exists()


@pytest.mark.parametrize(
    "text",
    [
        "Port 0\n",
        "Port ssh\n",
        "Port\n",
        "User a b\n",
        'User "a\n',
        "Host\n",
        "Match host\n",
        "Match tagged x\n",
        "IdentitiesOnly maybe\n",
    ],
)
def test_a_line_that_is_not_understood_is_an_error(write: Callable[[str], str], text: str) -> None:
    with pytest.raises(ConfigError, match="config"):
        look_up("lab", config=write(text))


# --- which files are read ------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's folder, instead of /etc/ssh."""
    folder = tmp_path / "etc"
    folder.mkdir()
    for module in (ssh_files, ssh_config):
        monkeypatch.setattr(module, "system_folder", lambda: folder)
    return folder


def test_a_users_file_comes_before_the_machines(home: Path, machine: Path) -> None:
    (home / ".ssh" / "config").write_text("Host lab\n User mine\n")
    (home / ".ssh" / "config").chmod(0o600)
    (machine / "ssh_config").write_text("User theirs\nPort 5\n")
    host = look_up("lab")
    assert (host.user, host.port) == ("mine", 5)
    assert host.known_hosts == (
        home / ".ssh" / "known_hosts",
        home / ".ssh" / "known_hosts2",
        machine / "ssh_known_hosts",
    )
    assert look_up("lab", config="none").port == 22


def test_a_file_that_others_can_write_is_not_trusted(home: Path, machine: Path) -> None:
    (home / ".ssh" / "config").write_text("User mine\n")
    (home / ".ssh" / "config").chmod(0o666)
    with pytest.raises(ConfigError, match="other users"):
        look_up("lab")


def test_a_file_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no"):
        look_up("lab", config=str(tmp_path / "nothing"))


def test_files_are_included_where_they_are_named(
    write: Callable[..., str], home: Path, machine: Path
) -> None:
    folder = home / ".ssh" / "config.d"
    folder.mkdir()
    (folder / "2").write_text("Port 2\n")
    (folder / "1").write_text("Port 1\nHost other\n User nobody\n")
    config = write("Include config.d/*\nUser me\n")
    assert (look_up("lab", config=config).port, look_up("lab", config=config).user) == (1, "me")
    (machine / "ssh_config").write_text("Include conf.d/*.conf nothing/*\n")
    (machine / "conf.d").mkdir()
    (machine / "conf.d" / "a.conf").write_text("Port 3\n")
    assert look_up("lab").port == 3


@needs_ssh
def test_a_file_that_is_included_for_one_host_is_for_that_host(
    write: Callable[..., str], tmp_path: Path
) -> None:
    more = write("Host *\n User inside\nHost other\n Port 8\n", "more")
    config = write(f"Host lab\n Include {more}\n Port 9\n" + ALL)
    assert agrees(config, "lab").user == "inside"
    assert agrees(config, "lab").port == 9
    assert agrees(config, "other").user != "inside"
    assert agrees(config, "other").port == 22


def test_a_file_that_includes_itself_is_refused(write: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="circles"):
        look_up("lab", config=write(f"Include {tmp_path / 'config'}\n"))


def test_a_refused_word_is_refused_in_a_file_that_is_included(write: Callable[..., str]) -> None:
    more = write("HostKeyAlias x\n", "more")
    with pytest.raises(ConfigError, match=f"{more}:1"):
        look_up("lab", config=write(f"Include {more}\n"))
