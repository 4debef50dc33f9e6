"""Any text and any bytes come back from the real cloud-init as they went in, in every layout."""

from __future__ import annotations

import base64
import json
import posixpath
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_bootparams.layouts.cloud_init.config import PROPERTIES_FILE
from ims_core.models import Context, File
from tests.bootparams import contexts

if TYPE_CHECKING:
    from tests.bootparams.real_cloud_init import CloudInit

#: Paths of files: any text that is a plain absolute path.
PATHS = (
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=40
    )
    .filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
    .map(lambda name: f"/opt/{name}")
    .filter(lambda path: posixpath.normpath(path) == path)
)
CONTEXTS = st.builds(
    lambda values, files, raw: replace(
        contexts.small(),
        properties={f"p{index}": value for index, value in enumerate(values)},
        secrets={"s": values[0]},
        files=tuple(File(path, content) for path, content in files.items()),
        user_data=raw,
    ),
    st.lists(contexts.VALUES, min_size=1, max_size=12),
    st.dictionaries(PATHS, st.binary(max_size=200), max_size=4),
    st.none() | contexts.SCRIPTS,
)


@pytest.mark.parametrize("kind", ["nocloud", "nocloud-v1", "configdrive", "opennebula"])
def test_any_value_comes_back(cloud_init: CloudInit, kind: str) -> None:
    # One process of cloud-init for many contexts: to start it takes most of a second.
    @settings(max_examples=4, deadline=None)
    @given(st.lists(CONTEXTS, min_size=10, max_size=20))
    def comes_back(given: list[Context]) -> None:
        with TemporaryDirectory() as folder:
            found = cloud_init.read(Path(folder), kind, *given)
        for context, seen in zip(given, found, strict=True):
            files = {path: base64.b64decode(text) for path, text in seen["files"].items()}
            files |= {
                path: base64.b64decode(text) for path, text in seen.get("injected", {}).items()
            }
            values = json.loads(files[PROPERTIES_FILE])
            assert values == {**context.properties, **context.secrets}
            for file in context.files:
                assert files[file.path] == file.content
            if context.user_data is not None:
                [[kind_of_part, text]] = seen["others"]
                assert kind_of_part == "text/x-shellscript"
                assert base64.b64decode(text) == context.user_data

    comes_back()
