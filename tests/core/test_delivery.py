"""What is refused before a provider is given a delivery."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ims_core.errors import InvalidError
from ims_core.models import Carrier, CarrierLimits, Features, File
from ims_core.registry import layout
from ims_core.service.delivery import deliver
from tests.bootparams import contexts

MEDIA = (Carrier.ISO, Carrier.FAT_DISK, Carrier.EXT2_DISK, Carrier.TEMPLATE_DISK)


@pytest.mark.parametrize("carrier", MEDIA, ids=str)
def test_what_a_medium_could_not_hold_is_refused_on_any(carrier: Carrier) -> None:
    opennebula = layout("opennebula")

    def delivered(*names: str, most: int = 1 << 24) -> None:
        features = Features(carriers={carrier: CarrierLimits(most)}, template_formats=("raw",))
        files = tuple(File(f"/mnt/context/{name}", b"") for name in names)
        deliver(replace(contexts.small(), files=files), opennebula, carrier, features)

    delivered("a", "b")
    with pytest.raises(InvalidError, match=r"context\.files"):
        delivered("a", "A")
    with pytest.raises(InvalidError) as caught:
        delivered("a", most=1000)
    assert caught.value.code == "context-too-large"
