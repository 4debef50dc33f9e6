"""From what a caller asks for to all that a provider needs to make the VM. Makes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from ims_bootparams.validation import check_context
from ims_core.codec import context_to_json
from ims_core.errors import InvalidError, NotFoundError
from ims_core.models import Context, Delivery, Interface, Mark, Template, VMSpec, Wait
from ims_core.names import check_name, make_up_name
from ims_core.service.addresses import fill_in, promised, reservations
from ims_core.service.delivery import check_wait, choose, deliver
from ims_core.service.macs import chosen
from ims_core.spi import TemplateStore, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.service.session import Session

__all__ = ["Completion", "Order", "Ready", "completed", "drafted", "whoami"]

DEFAULT_MEMORY = 512 * 1024 * 1024


class Completion(Protocol):
    """Says what of a context depends on the VM as it will be made, such as its addresses."""

    @property
    def digest(self) -> str:
        """Changes with whatever it makes of a VM."""

    def __call__(self, spec: VMSpec, context: Context) -> Context:
        """The whole context.

        It may be called several times for one VM, and makes nothing.

        Args:
            spec: The VM, with a MAC for each card and the addresses that it will have.
            context: As the caller gave it, with the VM's host name and cards.

        Raises:
            InvalidError: It cannot be said of this VM.
        """


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller asks for; what is empty or 0 is chosen for it."""

    name: str = ""
    template: str = ""
    memory: int = 0
    vcpus: int = 1
    disk: int = 0
    context: Context = field(default_factory=Context)
    layout: str = ""
    carrier: str = ""
    wait: Wait = Wait.RUNNING
    host: str = ""
    request: str = ""
    keep: bool = False
    completion: Completion | None = None

    @property
    def digest(self) -> str:
        """Of what is asked for; how far to wait is no part of it."""
        parts = (self.name, self.template, self.memory, self.vcpus, self.disk)
        told = [context_to_json(self.context), self.layout, self.carrier]
        if self.completion is not None:
            told.append(self.completion.digest)
        text = json.dumps([*parts, *told])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Ready:
    """An order after validation: all that a provider needs to make the VM."""

    spec: VMSpec
    context: Context
    delivery: Delivery
    mark: Mark


def drafted(session: Session, order: Order) -> VMSpec:
    """What the hypervisor is to be asked for, as far as it can be told without a reservation.

    Raises:
        InvalidError: A field that cannot be right.
        NotFoundError: No such template or network.
        ConflictError: The name or an address is taken.
    """
    template = _template(session, order.template)
    choose(session.provider.features, template.layout, layout=order.layout, carrier=order.carrier)
    return session.provider.prepare(_spec(session, order, template))


def completed(
    session: Session, order: Order, draft: VMSpec, cards: Sequence[Interface], operation: str
) -> Ready:
    """A draft with the cards it is to have.

    Raises:
        InvalidError: The context cannot be right, or not be carried.
        ConflictError: An address is taken.
    """
    spec = draft
    if tuple(cards) != draft.interfaces:
        spec = session.provider.prepare(replace(draft, interfaces=tuple(cards)))
    features, template = session.provider.features, spec.template
    layout, carrier = choose(features, template.layout, layout=order.layout, carrier=order.carrier)
    context = replace(
        order.context,
        instance_id=spec.uuid,
        hostname=order.context.hostname or spec.name,
        interfaces=spec.interfaces,
        default_user=order.context.default_user or template.default_user,
    )
    if order.completion is not None:
        context = order.completion(spec, context)
    check_context(context)
    check_wait(order.wait, layout, context, features)
    delivery = deliver(context, layout, carrier, features)
    mark = Mark(
        store=session.store.id,
        owner=whoami(),
        operation=operation,
        vm=spec.uuid,
        template=template.name,
        digest=delivery.digest,
        # A VM that is started at once has this delivery in place already (spi, sentence 10).
        nonce="" if order.wait is Wait.DEFINED else delivery.nonce,
        addresses=promised(reservations(session, spec.uuid, spec.interfaces)),
    )
    return Ready(spec, context, delivery, mark)


def _template(session: Session, name: str) -> Template:
    store = require(session.provider, TemplateStore)
    name = name or session.pool.template
    if name and (found := store.find_template(name)):
        return found
    templates = {each.name: each for each in store.list_templates()}
    if not name and len(templates) == 1:
        return next(iter(templates.values()))
    pool = session.pool.name
    if not name:
        raise InvalidError(
            f"which template? pool {pool!r} has {', '.join(sorted(templates)) or 'none'}",
            code="template-missing" if templates else "no-templates",
            hint=f"give --template, or set template in [pools.{pool}]"
            if templates
            else f"`ims import-template IMAGE --name NAME --pool {pool}` brings one in",
            pool=pool,
        )
    raise NotFoundError(
        f"there is no template {name!r} in pool {pool!r}",
        code="template-not-found",
        hint=f"`ims import-template IMAGE --name {name}` brings one in;"
        f" there are: {', '.join(sorted(templates)) or 'none'}",
        pool=pool,
    )


def _spec(session: Session, order: Order, template: Template) -> VMSpec:
    uuid = str(uuid4())
    if order.vcpus < 1:
        raise InvalidError(f"vcpus {order.vcpus} is not possible", hint="ask for at least 1")
    memory = order.memory or max(DEFAULT_MEMORY, template.min_memory)
    if memory < template.min_memory:
        raise InvalidError(
            f"memory {memory} is less than template {template.name!r} needs",
            hint=f"ask for at least {template.min_memory} bytes",
        )
    cards = order.context.interfaces or (Interface(),)
    return VMSpec(
        name=check_name("name", order.name or make_up_name()),
        uuid=uuid,
        template=template,
        memory=memory,
        vcpus=order.vcpus,
        disk=order.disk or template.virtual_size,
        interfaces=tuple(
            replace(fill_in(session, card), mac=chosen(card, uuid, index, session.pool.mac_scheme))
            for index, card in enumerate(cards)
        ),
        host=order.host,
    )


def whoami() -> str:
    """Who runs this process, for the people who find the VM."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())  # a user without a name, as in a container
    return f"{user}@{os.uname().nodename}"
