"""Which words of ssh_config count here, and which cannot make a difference.

Whatever is in neither list and applies to the host is refused (:mod:`ims_shell.ssh_config`): a file
that says how a host is to be trusted is obeyed in full or not at all.
"""

from __future__ import annotations

from typing import Final

__all__ = ["AGREED", "HONOURED", "IGNORED"]

HONOURED: Final = frozenset(
    {
        "HostName",
        "User",
        "Port",
        "IdentityFile",
        "IdentitiesOnly",
        "UserKnownHostsFile",
        "ProxyJump",
        "ProxyCommand",
    }
)
"""They do what ssh_config(5) says; so do ``Host``, ``Match`` and ``Include``."""

AGREED: Final = {
    "AddressFamily": frozenset({"any"}),
    "CanonicalizeHostname": frozenset({"no", "none"}),
    "CheckHostIP": frozenset({"no"}),
    "NoHostAuthenticationForLocalhost": frozenset({"no"}),
    "PermitLocalCommand": frozenset({"no"}),
    "ProxyUseFdpass": frozenset({"no"}),
    "PubkeyAuthentication": frozenset({"yes", "true"}),
    "StrictHostKeyChecking": frozenset({"yes", "true", "ask"}),
    "Tunnel": frozenset({"no"}),
    "VerifyHostKeyDNS": frozenset({"no"}),
}
"""Words that may stand there with these values, because nothing else is done here anyway.

``StrictHostKeyChecking ask`` is among them: there is nobody to ask, so an unknown key is refused.
"""

IGNORED: Final = frozenset(
    {
        # What a terminal or a person would need; there is neither.
        "BatchMode",
        "EnableEscapeCommandline",
        "EscapeChar",
        "FingerprintHash",
        "LogLevel",
        "LogVerbose",
        "NumberOfPasswordPrompts",
        "RequestTTY",
        "SyslogFacility",
        "VisualHostKey",
        # What is carried along besides the commands that IMS runs; nothing is.
        "ClearAllForwardings",
        "DynamicForward",
        "ExitOnForwardFailure",
        "ForwardAgent",
        "ForwardX11",
        "ForwardX11Timeout",
        "ForwardX11Trusted",
        "GatewayPorts",
        "LocalCommand",
        "LocalForward",
        "RemoteForward",
        "SendEnv",
        "SetEnv",
        "StreamLocalBindMask",
        "StreamLocalBindUnlink",
        "TunnelDevice",
        "XAuthLocation",
        # How long and how fast; IMS has bounds of its own.
        "Compression",
        "ConnectTimeout",
        "ConnectionAttempts",
        "ControlMaster",
        "ControlPath",
        "ControlPersist",
        "IPQoS",
        "ObscureKeystrokeTiming",
        "RekeyLimit",
        "ServerAliveCountMax",
        "ServerAliveInterval",
        "TCPKeepAlive",
        # Other ways to log in than a key, which are never used.
        "ChallengeResponseAuthentication",
        "EnableSSHKeysign",
        "GSSAPIAuthentication",
        "GSSAPIDelegateCredentials",
        "GSSAPIKeyExchange",
        "GSSAPIRenewalForcesRekey",
        "GSSAPITrustDNS",
        "HostbasedAuthentication",
        "KbdInteractiveAuthentication",
        "KbdInteractiveDevices",
        "PasswordAuthentication",
        # What is written to known_hosts or to the agent; nothing is.
        "AddKeysToAgent",
        "HashKnownHosts",
        "UpdateHostKeys",
        "UseKeychain",
        # A word that it excuses is refused nevertheless.
        "IgnoreUnknown",
    }
)
"""They change neither where a connection goes, nor how, nor whom it trusts."""
