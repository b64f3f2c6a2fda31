"""What every entry under ``detectors`` has, whether it scores the unusual or knows a rule."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry; its YAML decodes straight into it."""

    kind: ClassVar[str]
    name: str = ""

    @property
    def title(self) -> str:
        """Its name, or its kind where it was given none."""
        return self.name or self.kind
