"""OpenNebula's VM templates: what they order, and what they tell the guest.

:func:`parse` reads a template, :func:`machine` says what VM it asks for, and :func:`resolve`, once
the VM's addresses are known, what its ``CONTEXT`` comes to. Nothing is read but the template; the
paths in the result are for the caller to open.
"""

from __future__ import annotations

from ims_bootparams.opennebula_template.contextualization import Contextualization, resolve
from ims_bootparams.opennebula_template.files import MediumFile
from ims_bootparams.opennebula_template.machine import Card, Machine, machine
from ims_bootparams.opennebula_template.syntax import Attribute, Template, parse
from ims_bootparams.opennebula_template.token import TOKEN_FILE, token_txt
from ims_bootparams.opennebula_template.variables import Facts

__all__ = [
    "TOKEN_FILE",
    "Attribute",
    "Card",
    "Contextualization",
    "Facts",
    "Machine",
    "MediumFile",
    "Template",
    "machine",
    "parse",
    "resolve",
    "token_txt",
]
