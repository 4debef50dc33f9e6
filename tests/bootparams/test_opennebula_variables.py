"""What the variables of OpenNebula's templates stand for."""

from __future__ import annotations

import base64
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_bootparams.opennebula_template import Facts, parse
from ims_bootparams.opennebula_template.syntax import MAX_BYTES
from ims_bootparams.opennebula_template.variables import MAX_CHARACTERS, Variables
from ims_core.errors import InvalidError

TEMPLATE = """
    NAME = "the template's"
    MEMORY = 512
    EMPTY =
    COST = [ CPU = 1, CURRENCY = "EUR" ]
    COST = [ CPU = 2, CURRENCY = "USD" ]
    COST = [ CPU = 3, CURRENCY = "USD" ]
    NIC = [ NETWORK = "public net", MODEL = virtio, IP = 198.51.100.1 ]
    NIC = [ NETWORK = inner, MODEL = e1000 ]
    CONTEXT = [ OWN = "$VMID" ]
"""
FACTS = Facts(
    vmid=42,
    name="web-1",
    uid=7,
    uname="alice",
    gid=100,
    gname="users",
    nics=(
        {"NIC_ID": "0", "NETWORK": "public net", "IP": "192.0.2.7", "MAC": "02:00:c0:00:02:07"},
        {"NIC_ID": "1", "NETWORK": "inner", "NETWORK_ID": "5", "IP": "10.0.0.7", "BRIDGE": "br1"},
    ),
    networks=(
        {"NETWORK": "public net", "NETWORK_ID": "0", "DNS": "192.0.2.53 192.0.2.54"},
        {"NETWORK": "inner", "NETWORK_ID": "5", "GATEWAY": "", "TEMPLATE": "<VNET>é</VNET>"},
    ),
    images=(
        {"IMAGE": "Debian 12", "IMAGE_ID": "3", "ROOT_PASS": "s3cret", "TEMPLATE": "<IMAGE/>"},
    ),
    user={"SSH_KEY": "ssh-ed25519 AAAA", "TEMPLATE": "<USER/>"},
    template_xml="<VM>é</VM>",
)
#: Text without what could begin or escape a variable, or belong to one.
PLAIN = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="$\\\0[")
    | st.sampled_from("]\",= \n'.#"),
    max_size=20,
)


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def expanded(text: str, facts: Facts = FACTS, template: str = TEMPLATE) -> str:
    return Variables(parse(template.encode()), facts).expand("CONTEXT.A", text, MAX_CHARACTERS)


#: Each way to write a variable, and what it stands for here.
FORMS = {
    "$VMID": "42",
    "$NAME": "web-1",
    "$UID": "7",
    "$UNAME": "alice",
    "$GID": "100",
    "$GNAME": "users",
    "$TEMPLATE": in_base64("<VM>é</VM>"),
    "$MEMORY": "512",
    "$memory": "512",
    "$EMPTY": "",
    "$COST[CURRENCY]": "EUR",
    "$COST[CURRENCY, CPU=2]": "USD",
    "$COST[CPU, CURRENCY=USD]": "2",
    '$cost[currency,cpu="2"]': "USD",
    "$NIC[IP]": "192.0.2.7",
    '$NIC[IP, NETWORK="public net"]': "192.0.2.7",
    "$NIC[IP, NETWORK_ID=5]": "10.0.0.7",
    "$NIC[BRIDGE, NIC_ID=1]": "br1",
    "$NIC[MODEL, NETWORK=inner]": "e1000",
    '$NETWORK[DNS, NETWORK="public net"]': "192.0.2.53 192.0.2.54",
    "$NETWORK[DNS, NETWORK_ID=0]": "192.0.2.53 192.0.2.54",
    "$NETWORK[DNS, NIC_ID=0]": "192.0.2.53 192.0.2.54",
    "$NETWORK[GATEWAY, NETWORK=inner]": "",
    "$NETWORK[TEMPLATE, NETWORK=inner]": in_base64("<VNET>é</VNET>"),
    '$NETWORK[ DNS ,\n NETWORK = "public net" ]': "192.0.2.53 192.0.2.54",
    "$IMAGE[ROOT_PASS, IMAGE_ID=3]": "s3cret",
    '$IMAGE[ROOT_PASS, IMAGE="Debian 12"]': "s3cret",
    "$IMAGE[TEMPLATE, IMAGE_ID=3]": in_base64("<IMAGE/>"),
    "$USER[SSH_KEY]": "ssh-ed25519 AAAA",
    "$USER[TEMPLATE]": in_base64("<USER/>"),
    "$USER[SSH_PUBLIC_KEY]": "",
}


@pytest.mark.parametrize("written", FORMS)
def test_each_form_of_variable_stands_for_what_is_known(written: str) -> None:
    assert expanded(written) == FORMS[written]


@settings(max_examples=100)
@given(st.lists(st.tuples(PLAIN, st.sampled_from(sorted(FORMS))), max_size=5), PLAIN)
def test_variables_stand_beside_any_text(pairs: list[tuple[str, str]], end: str) -> None:
    # A name goes on for as long as there are letters, digits and underscores.
    written = "".join(f"{text}.{form}." for text, form in pairs) + end
    assert expanded(written) == "".join(f"{text}.{FORMS[form]}." for text, form in pairs) + end


@settings(max_examples=50)
@given(PLAIN.filter(lambda text: '"' not in text), PLAIN)
def test_a_quoted_value_of_a_key_may_be_any_text(name: str, dns: str) -> None:
    facts = Facts(1, "a", networks=({"NETWORK": "b"}, {"NETWORK": name, "DNS": dns}))
    if name != "b":
        assert expanded(f'<$NETWORK[DNS, NETWORK="{name}"]>', facts) == f"<{dns}>"


def test_variables_may_touch_each_other() -> None:
    assert expanded("$UID$VMID$NIC[IP]$GID") == "742192.0.2.7100"
    assert expanded("10.0.0.$VMID") == "10.0.0.42"


@pytest.mark.parametrize("text", [r"\$HOME", r"a\b\\c", "\\", r"\\\$(id)", r"C:\$x", "\\\n"])
def test_a_backslash_and_what_it_protects_stay_as_they_are(text: str) -> None:
    assert expanded(text) == text


def test_two_backslashes_protect_nothing() -> None:
    assert expanded(r"\\$UID") == r"\\7"


def test_what_a_variable_stands_for_is_not_looked_at_again() -> None:
    facts = Facts(1, "$VMID", user={"SSH_KEY": "$(id) $UNKNOWN"})
    assert expanded("$NAME $USER[SSH_KEY]", facts) == "$VMID $(id) $UNKNOWN"


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ("$", 1),
        ("a$", 2),
        ("$$", 1),
        ("$$UID", 1),
        ("$(id)", 1),
        ("${UID}", 1),
        ("x $NIC[", 3),
        ("$NIC[]", 1),
        ("$NIC[IP", 1),
        ("$NIC[IP,]", 1),
        ("$NIC[IP, MAC]", 1),
        ("$NIC[NETWORK=a, IP]", 1),
        ('$NIC[IP, NETWORK="a]', 1),
        ("$NIC[IP, NETWORK=a b]", 1),
        ("$NIC[IP, NETWORK=]", 1),
        ("$NIC[I-P]", 1),
    ],
)
def test_a_dollar_sign_that_begins_no_variable_is_refused(text: str, character: int) -> None:
    with pytest.raises(InvalidError) as caught:
        expanded(text)
    expected = f"CONTEXT.A: the dollar sign at character {character} begins no variable"
    assert caught.value.message == expected
    assert "base64" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("$HOME", "$HOME is not known", "GID, GNAME, MEMORY, NAME,"),
        ("$NIC", "$NIC is not known", "VMID"),
        ("$FOO[BAR]", "$FOO[BAR] names no FOO", "COST, IMAGE, NETWORK, NIC, USER."),
        ("$CONTEXT[OWN]", "$CONTEXT[OWN] names no CONTEXT", "COST"),
        ("$NIC[IP6]", "$NIC[IP6] has no IP6", "IP, MAC, MODEL, NETWORK, NIC_ID."),
        ("$NIC[IP, NETWORK=no]", '$NIC[IP, NETWORK="no"] names no NIC', "NETWORK=inner"),
        ("$NETWORK[DNS, NETWORK=no]", "names no NETWORK", "NETWORK=public net"),
        ("$NETWORK[DNS, NIC_ID=9]", "names no NETWORK", "NETWORK=inner"),
        ("$NETWORK[DNS]", "does not say of which NETWORK", "NETWORK_ID=5"),
        ("$NETWORK[DNS, NETWORK=inner]", "has no DNS", "GATEWAY, NETWORK,"),
        ("$IMAGE[ROOT_PASS]", "does not say of which IMAGE", "IMAGE=Debian 12, IMAGE_ID=3."),
        ("$IMAGE[ROOT_PASS, ROOT_PASS=x]", "names no IMAGE", "IMAGE=Debian 12, IMAGE_ID=3."),
        ("$USER[SSH_PUBLIC_KEYS]", "has no SSH_PUBLIC_KEYS", "SSH_KEY, SSH_PUBLIC_KEY"),
        ("$NIC[NETWORK=inner]", "needs one attribute", "[ATTRIBUTE]"),
        ("$NIC[IP, NETWORK=inner, NIC_ID=1]", "needs one attribute", "[ATTRIBUTE]"),
        ("$FILE[IMAGE=a]", "needs one attribute", "[ATTRIBUTE]"),
    ],
)
def test_a_variable_that_is_not_known_is_refused_by_name(
    text: str, problem: str, hint: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        expanded(text)
    assert caught.value.message.startswith("CONTEXT.A: $")
    assert problem in caught.value.message
    assert hint in caught.value.hint
    assert "s3cret" not in caught.value.hint


def test_a_password_with_a_dollar_sign_is_not_shown() -> None:
    variables = Variables(parse(b""), FACTS)
    for text in ("pa$w0rd", "pa$ w0rd", "pa$(w0rd"):
        with pytest.raises(InvalidError) as caught:
            variables.expand("CONTEXT.PASSWORD", text, MAX_CHARACTERS)
        assert "w0rd" not in f"{caught.value}{caught.value.hint}".lower()


def test_nothing_is_known_of_what_nobody_said() -> None:
    facts = Facts(1, "a")
    for text in ("$TEMPLATE", "$NIC[IP]", "$NETWORK[DNS, NETWORK=a]", "$IMAGE[A, IMAGE=a]"):
        with pytest.raises(InvalidError, match="known"):
            expanded(text, facts, template="")


#: What a careless reader would take long over: a template, and what comes again and again.
HOSTILE = {
    "names": ("", "$UID"),
    "backslashes": ("", "\\"),
    "escapes": ("", "\\x"),
    "dollar signs": ("", "$"),
    "brackets": ("", "$A[K="),
    "quotes": ("", '$A[K="'),
    "cards": ("", "$NIC[IP]"),
    "the last of many": ("V=[A=1]\n" * 60_000 + "V=[A=2]", "$V[A,A=2]"),
    "none of many": ("V=[A=1]\n" * 60_000, "$V[A,A=2]"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_value_takes_long(name: str) -> None:
    template, unit = HOSTILE[name]
    begun = time.process_time()
    with suppress(InvalidError):
        expanded(unit * (MAX_BYTES // len(unit)), template=template)
    assert time.process_time() - begun < 5


def test_no_value_grows_without_end() -> None:
    template = f'LONG="{"x" * (MAX_BYTES // 2)}"'
    fits = MAX_CHARACTERS // (MAX_BYTES // 2)
    assert len(expanded("$LONG" * fits, template=template)) == MAX_CHARACTERS
    with pytest.raises(InvalidError) as caught:
        expanded("$LONG" * fits + ".", template=template)
    assert caught.value.code == "context-too-large"
