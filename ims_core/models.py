"""The words of IMS as frozen data.

Specs and results are slotted dataclasses: cheap to make by the thousand, safe to share between
threads. Sizes are bytes, times are seconds, MAC addresses are lower case with colons, and
addresses carry their prefix length (``192.0.2.10/24``) wherever it is known. A number that the
hypervisor cannot give is ``None``, never 0.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "VM",
    "Address",
    "Carrier",
    "CarrierLimits",
    "Change",
    "ChangeKind",
    "Context",
    "Delivery",
    "Features",
    "File",
    "Finding",
    "Host",
    "HostKey",
    "Interface",
    "ItemResult",
    "Mark",
    "Metrics",
    "Receipt",
    "Resource",
    "Script",
    "ShownContext",
    "Snapshot",
    "State",
    "Template",
    "User",
    "VMSpec",
    "Wait",
]

_EMPTY: Mapping[str, str] = MappingProxyType({})
_NO_FILES: Mapping[str, bytes] = MappingProxyType({})


class State(StrEnum):
    """What a VM is doing. Every state of a hypervisor maps to exactly one of these."""

    DEFINED = "defined"  # complete, and never started yet
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"  # in memory, its CPUs held
    SUSPENDED = "suspended"  # its memory saved to disk
    STOPPING = "stopping"
    STOPPED = "stopped"
    CRASHED = "crashed"
    UNKNOWN = "unknown"  # the hypervisor itself does not know


class Wait(StrEnum):
    """How far ``create-vm`` and ``start-vm`` wait."""

    DEFINED = "defined"
    RUNNING = "running"
    ADDRESS = "address"  # some source knows an address of the guest
    READY = "ready"  # this start's receipt: right digest, right nonce, every item good


class Carrier(StrEnum):
    """How a layout's bytes travel to the guest."""

    ISO = "iso"  # a CD with ISO 9660
    FAT_DISK = "fat-disk"  # a small disk with FAT and no partitions
    EXT2_DISK = "ext2-disk"  # the same with ext2
    TEMPLATE_DISK = "template-disk"  # a small disk that the template brings, to put files on
    GUEST_PROPERTIES = "guest-properties"
    XENSTORE = "xenstore"
    SMBIOS = "smbios"  # a field of the machine's firmware tables

    @property
    def is_medium(self) -> bool:
        """Whether it is an image that the guest mounts, not a set of keys and values."""
        return self in (Carrier.ISO, Carrier.FAT_DISK, Carrier.EXT2_DISK)


# --- Context: what the guest must be told -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interface:
    """A network card: where it is plugged in, and what the guest must set on it.

    Attributes:
        network: The provider's name of the network; empty means the pool's default.
        mac: Empty until the service has chosen one.
        addresses: Static addresses with prefix length. None at all means DHCP.
        gateways: Default routes, at most one for each IP version.
        nameservers: DNS servers.
        search: DNS search domains.
    """

    network: str = ""
    mac: str = ""
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """An account to be made in the guest, or to be given keys if it exists.

    Attributes:
        name: Login name.
        ssh_keys: Lines for ``authorized_keys``.
        password_hash: A crypt(3) hash, never a password in the clear.
        sudo: Whether the user may become root without a password.
    """

    name: str
    ssh_keys: tuple[str, ...] = ()
    password_hash: str = field(default="", repr=False)
    sudo: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """A file to be written in the guest.

    Attributes:
        path: Absolute.
        content: Any bytes.
        mode: Permissions, as for ``chmod``.
        owner: As ``user:group``.
    """

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644
    owner: str = "root:root"


@dataclass(frozen=True, slots=True)
class Script:
    """A program the guest runs after everything else was applied, once for each content.

    It is not run again for as long as the context holds it unchanged, name and bytes, whatever
    else changes. One that failed is tried again when the context has another digest.

    Attributes:
        name: Its file's; ``config/…`` and ``reset/…`` are run more often, as the guest's page says.
        content: Any bytes; the first line names the interpreter.
    """

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HostKey:
    """A key by which the guest's SSH server proves who it is, so that callers can know it before.

    Attributes:
        type: ``ed25519``, ``ecdsa`` or ``rsa``.
        private: The private key in OpenSSH's or PEM's text form, without a passphrase.
        public: The line of its ``.pub`` file.
    """

    type: str
    private: str = field(repr=False)
    public: str


@dataclass(frozen=True, slots=True)
class Context:
    """What one guest must be told. Values are data: no layout lets the guest execute them.

    Attributes:
        instance_id: The VM's UUID, set by the service; the same over restarts, so that a restart
            re-runs nothing.
        hostname: The guest's name, with or without a domain; the VM's name if it is empty.
        interfaces: The VM's network cards in order; none means one card with DHCP.
        ssh_keys: Keys for the template's default user (root where it names none).
        default_user: Whom ``ssh_keys`` belong to; the template's default user, set by the service;
            empty means the one that the image itself names, or root.
        users: Further accounts.
        host_keys: The SSH server's own keys, at most one of each type; none means that the guest
            makes its own.
        properties: Free key=value data for the applications in the guest.
        secrets: The same, but never shown in a log, an error or ``show-context``.
        files: Written before any script runs.
        scripts: Run in this order, once for each content (see :class:`Script`).
        user_data: Raw user-data for cloud-init, passed through untouched.
        seed_url: Where the guest fetches the rest, for layouts that only tell it where; ends in a
            slash. Whoever gives it serves what is there.
    """

    instance_id: str = ""
    hostname: str = ""
    interfaces: tuple[Interface, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    default_user: str = ""
    users: tuple[User, ...] = ()
    host_keys: tuple[HostKey, ...] = ()
    properties: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    secrets: Mapping[str, str] = field(default_factory=lambda: _EMPTY, repr=False)
    files: tuple[File, ...] = ()
    scripts: tuple[Script, ...] = ()
    user_data: bytes | None = field(default=None, repr=False)
    seed_url: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A finished context for one start of one VM.

    Attributes:
        layout: Name of the layout the bytes are in.
        carrier: How they travel.
        digest: ``sha256:`` and 64 hex digits over the layout's files (see
            :func:`ims_bootparams.digest.digest_of`). The guest computes it anew from what it read.
        nonce: Fresh for each start and outside the digest, so an old receipt is told apart.
        medium: The whole image, for the carriers that are media.
        overlay: The image of a second medium, for the layouts that have one: it goes into a drive
            of its own, after the first. It alone is changed while the VM runs.
        files: For a disk of the template's, what is to be on it besides what it has: content by
            name. The file ``ims.files`` among them lists their names, so that the guest and the
            next delivery tell them apart.
        values: For the others, values by key. The keys stand below a prefix that each provider
            chooses, see :mod:`ims_bootparams.values`; those for the firmware's tables are the names
            of fields of its system information (SMBIOS, type 1), as libvirt has them.
    """

    layout: str
    carrier: Carrier
    digest: str
    nonce: str
    medium: bytes = field(default=b"", repr=False)
    overlay: bytes = field(default=b"", repr=False)
    files: Mapping[str, bytes] = field(default_factory=lambda: _NO_FILES, repr=False)
    values: Mapping[str, str] = field(default_factory=lambda: _EMPTY, repr=False)


@dataclass(frozen=True, slots=True)
class ShownContext:
    """What a VM would be told at its next start, for people to look at.

    Attributes:
        vm: Its name.
        layout: The name of the format.
        carrier: By which it would come.
        label: The medium's volume label; empty for a carrier that is no medium.
        digest: Of what would be delivered, secrets and all.
        files: Content by name as the layout has them; without secrets unless they were asked for.
    """

    vm: str
    layout: str
    carrier: Carrier
    label: str
    digest: str
    files: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one item of the context.

    Attributes:
        name: Of the item, as ``hostname`` or ``files.0``.
        ok: Whether it was applied.
        message: The guest's, if it failed.
    """

    name: str
    ok: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The guest's answer: what it read, what it did, and the addresses it has.

    Attributes:
        digest: Of the bytes that it read, as ``sha256:<hex>``.
        nonce: Of the start that it answers to.
        items: What became of each item, in the order in which they were applied.
        addresses: Those it has.
    """

    digest: str
    nonce: str
    items: tuple[ItemResult, ...] = ()
    addresses: tuple[Address, ...] = ()

    def problem(self, *, digest: str, nonce: str) -> str:
        """Why this receipt does not prove that the context was applied; empty when it does."""
        if nonce != self.nonce:
            return "the receipt is of an earlier start"
        if digest != self.digest:
            return f"the guest read other bytes than were sent ({self.digest}, sent {digest})"
        failed = [item for item in self.items if not item.ok]
        if failed:
            return "; ".join(f"{item.name} failed: {item.message or '?'}" for item in failed)
        return ""


# --- Templates and specs ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Template:
    """An image that VMs are made from; its manifest lies beside it in the pool.

    Attributes:
        name: Unique in its pool.
        format: One of its provider's ``template_formats``: ``qcow2``, ``raw``, ``vdi``, or
            ``ovm-template``, an archive with its disks in it.
        digest: ``sha256:`` and 64 hex digits of the image file.
        size: Bytes of the image file.
        virtual_size: Bytes of the disk the guest sees.
        layout: The context layout the guest understands.
        default_user: Whom ``Context.ssh_keys`` belong to.
        min_memory: Bytes; 0 when the template does not say.
        source: Where it was imported from, for people.
        operation: Id of the operation that imported it; part of the name of what it made.
        boot: How its VMs boot, one of the provider's ``boot_methods``; empty for its first.
        kernel: ``sha256:`` digest of the kernel that the hypervisor loads; empty where the image
            boots by itself. The file lies beside the image, as does the next.
        ramdisk: The same of the kernel's initial ramdisk; empty when it has none.
        cmdline: The kernel's command line.
    """

    name: str
    format: str
    digest: str
    size: int
    virtual_size: int
    layout: str = "nocloud"
    default_user: str = ""
    min_memory: int = 0
    source: str = ""
    operation: str = ""
    boot: str = ""
    kernel: str = ""
    ramdisk: str = ""
    cmdline: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A template out of its manifest; fields that a newer IMS added are ignored.

        Raises:
            ValueError: A field is missing or has the wrong type.
        """
        return cls(**_known(cls, values))


@dataclass(frozen=True, slots=True)
class VMSpec:
    """An order for one VM, after validation.

    Attributes:
        name: One host name label or several; see :data:`ims_core.names.NAME`.
        uuid: Ours, and the hypervisor's too wherever it lets us choose.
        template: What it is made from.
        memory: Bytes.
        vcpus: Virtual CPUs.
        disk: Bytes of the root disk; never less than the template's.
        interfaces: Network cards, each with a MAC.
        host: Name of the host it is made on, one of ``Provider.hosts()``; the provider chooses
            when it is empty.
    """

    name: str
    uuid: str
    template: Template
    memory: int
    vcpus: int
    disk: int
    interfaces: tuple[Interface, ...] = ()
    host: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """What we write into the hypervisor's own metadata of a VM we made.

    It lets IMS find its VMs again without its store. It holds no secrets: of the context only
    the digest.

    Attributes:
        store: Id of the store that made the VM.
        operation: Id of the operation that made it; part of the name of everything it made. Empty
            for a VM that was adopted: nothing that belongs to it was made by IMS.
        vm: Our UUID of the VM. A mark that names another VM was copied, and does not count.
        complete: False until ``create-vm`` has done all it does.
        owner: Who made it, for people.
        template: Name of the template.
        digest: Of the context delivered last.
        nonce: Of the last start; empty when it was never started.
        addresses: What it was promised, as ``network=address``, separated by spaces: a store that
            was lost learns from it which addresses are taken.
    """

    store: str
    operation: str
    vm: str
    complete: bool = False
    owner: str = ""
    template: str = ""
    digest: str = ""
    nonce: str = ""
    addresses: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A mark out of plain data; fields that a newer IMS added are ignored.

        Raises:
            ValueError: A field is missing or has the wrong type.
        """
        return cls(**_known(cls, values))


def _known(cls: type[Template | Mark], values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a class among the values, each of its declared type."""
    kinds = {"str": str, "int": int, "bool": bool}
    known = {each.name: values[each.name] for each in fields(cls) if each.name in values}
    for each in fields(cls):
        if each.name not in known and each.default is MISSING:
            raise ValueError(f"{cls.__name__} has no {each.name}")
        if each.name in known and type(known[each.name]) is not kinds[str(each.type)]:
            raise ValueError(f"{cls.__name__}.{each.name} is no {each.type}")
    return known


# --- What a provider reports --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a guest, and who says so.

    Attributes:
        address: With prefix length where the source knows it.
        mac: Of the card that has it.
        source: ``lease``, ``agent``, ``arp``, ``receipt``, …
    """

    address: str
    mac: str
    source: str

    @property
    def is_routable(self) -> bool:
        """Whether it can be reached from elsewhere; False for what is no address at all."""
        from ipaddress import ip_interface  # noqa: PLC0415 - slow to import, and seldom needed

        try:
            parsed = ip_interface(self.address).ip
        except ValueError:
            return False  # a guest may say anything
        odd = parsed.is_link_local or parsed.is_loopback or parsed.is_multicast
        # What stands behind a percent sign may be any text, and is of no use elsewhere.
        return not (odd or parsed.is_unspecified or "%" in self.address)


@dataclass(frozen=True, slots=True)
class VM:
    """A VM as its hypervisor shows it now.

    Attributes:
        name: As the hypervisor has it.
        uuid: Ours, in lower case.
        state: What it does.
        memory: Bytes; None where the hypervisor does not tell.
        vcpus: Virtual CPUs; None likewise.
        mark: None for a VM that IMS did not make.
        problem: Why it would not start, in a few words; empty when nothing is known.
        addresses: Only when they were asked for; the same address may come from several sources.
        receipt: The guest's last answer, only when it was asked for.
        host: Name of the host it is on, where its pool reveals several.
        forwards: Ports of its host that lead into it, as ``tcp 127.0.0.1:2200 to port 22``, where
            its addresses cannot be reached from outside.
        pool: Set by the service.
        pending: Addresses, or ``dhcp``, that take effect at the next start; set by the service.
        context_pending: Whether the next start tells it something else than the last did; set by
            the service.
    """

    name: str
    uuid: str
    state: State
    mark: Mark | None = None
    memory: int | None = None
    vcpus: int | None = None
    problem: str = ""
    addresses: tuple[Address, ...] = ()
    receipt: Receipt | None = None
    host: str = ""
    forwards: tuple[str, ...] = ()
    pool: str = ""
    pending: tuple[str, ...] = ()
    context_pending: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A VM as it was at some time, kept beside the VM.

    Attributes:
        name: Unique among those of its VM.
        taken: Seconds since the epoch.
        operation: Id of the operation that took it; empty for one that others took.
        memory: Whether the memory of a running VM is in it.
        current: Whether what the VM is now descends from this one directly.
    """

    name: str
    taken: float
    operation: str = ""
    memory: bool = False
    current: bool = False


class ChangeKind(StrEnum):
    """What happened to a VM, whoever did it."""

    STARTED = "started"  # its guest boots; one that goes on with saved memory was not started
    MIGRATED = "migrated"  # it runs here now, and ran elsewhere before
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to a VM.

    Attributes:
        vm: UUID of the VM, which may be a foreign one.
        kind: What it was.
        at: Seconds since the epoch at which we heard of it.
    """

    vm: str
    kind: ChangeKind
    at: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counters and gauges of one VM, read at one time.

    What the hypervisor cannot tell is None. Counters begin at 0 when the VM is started.

    Attributes:
        name: The VM's.
        uuid: The VM's.
        timestamp: Seconds since the epoch at which the hypervisor was asked.
        cpu_seconds: CPU time used since then, over all CPUs.
        vcpus: Virtual CPUs.
        memory_used_bytes: What the guest itself uses, as its balloon driver tells.
        memory_max_bytes: What the guest may use.
        disk_read_bytes: Read by the guest, over all disks.
        disk_write_bytes: Written by the guest, over all disks.
        net_rx_bytes: Received by the guest, over all cards.
        net_tx_bytes: Sent by the guest, over all cards.
    """

    name: str
    uuid: str
    timestamp: float
    cpu_seconds: float | None = None
    vcpus: int | None = None
    memory_used_bytes: int | None = None
    memory_max_bytes: int | None = None
    disk_read_bytes: int | None = None
    disk_write_bytes: int | None = None
    net_rx_bytes: int | None = None
    net_tx_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """A hypervisor machine of a pool, with its capacity.

    Attributes:
        name: As ``--host`` takes it.
        cpus: Logical CPUs.
        memory: Bytes, of the machine.
        memory_free: Bytes that VMs could still be given; None where it cannot be known.
    """

    name: str
    cpus: int
    memory: int
    memory_free: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing ``check`` found.

    Attributes:
        subject: What it is about, in a word or two.
        message: What was seen.
        fix: The command or the step that mends it; empty if all is well.
        ok: Whether all is well.
    """

    subject: str
    message: str
    fix: str = ""
    ok: bool = False


# --- What a provider declares -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CarrierLimits:
    """What a carrier of a provider can hold.

    Attributes:
        max_bytes: In all: of the image, or of all values together.
        max_value_bytes: Of one value, for the carriers that are no media.
        live: Whether its content can be renewed while the VM runs (see ``LiveContext``).
        overlay: Whether a delivery's second medium can go along.
    """

    max_bytes: int
    max_value_bytes: int = 0
    live: bool = False
    overlay: bool = False


@dataclass(frozen=True, slots=True)
class Features:
    """What a provider can do beyond the required methods; protocols are not repeated here.

    Attributes:
        carriers: In order of preference.
        template_formats: Image formats it can make VMs from, in the words of ``Template.format``;
            images in others are converted to the first that can be written.
        address_sources: Where it can learn a guest's addresses.
        receipts: Whether a guest can answer it.
        boot_methods: The words for ``Template.boot``, the usual one first; none where images boot
            in one way only, and then no kernel can be given either.
        chooses_host: Whether the hypervisor itself chooses among the hosts, so that none can be
            ordered.
    """

    carriers: Mapping[Carrier, CarrierLimits] = field(default_factory=dict)
    template_formats: tuple[str, ...] = ()
    address_sources: tuple[str, ...] = ()
    receipts: bool = False
    boot_methods: tuple[str, ...] = ()
    chooses_host: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing a provider is about to make, as the undo log keeps it.

    Attributes:
        kind: The provider's own word: ``volume``, ``domain``, ``dhcp-host``, …
        name: Its name in the hypervisor, chosen by us before it exists.
        operation: Id of the operation it belongs to.
    """

    kind: str
    name: str
    operation: str

    @property
    def carries_operation(self) -> bool:
        """Whether its name has its operation's id, whole and not as a part of another's."""
        own = re.escape(self.operation)
        return bool(own and re.search(rf"(?<![0-9A-Za-z]){own}(?![0-9A-Za-z])", self.name))
