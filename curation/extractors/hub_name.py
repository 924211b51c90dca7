"""Names of the hub's models: `hub:<model id>[@revision][#audio|#picture]` in, its parts and a folder name out."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal, cast

from curation.errors import SettingError

PREFIX = "hub:"
Side = Literal["", "audio", "picture"]
_FORM = re.compile(
    r"hub:(?P<model>[\w][\w.-]*(?:/[\w][\w.-]*)?)(?:@(?P<revision>[\w][\w./-]*))?(?:#(?P<side>audio|picture))?",
    re.ASCII,
)
SLUG_LENGTH = 60


@dataclass(frozen=True)
class HubName:
    """A model, the revision asked for ("" = main) and the side of a model that has both ("" = its only one)."""

    model_id: str
    revision: str = ""
    side: Side = ""

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{PREFIX}{self.model_id}{revision}" + (f"#{self.side}" if self.side else "")

    @property
    def slug(self) -> str:
        """Letters, digits, `_` and `-` only; different for different names on every file system."""
        text = f"hub-{self.model_id}" + (f"-{self.side}" if self.side else "")
        # The end tells apart what the replaced characters, the cut or a file system without capitals would not.
        end = hashlib.sha256(str(self).encode()).hexdigest()[:6]
        return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', text)[:SLUG_LENGTH]}-{end}"


def parse(name: str) -> HubName:
    """The parts of a name. Raises SettingError for one of another form."""
    found = _FORM.fullmatch(name)
    if found is None:
        raise SettingError(
            f"{name!r} is not the name of a model of the hub.",
            hint="The form is hub:owner/model, then @revision and #audio or #picture where needed.",
        )
    return HubName(found["model"], found["revision"] or "", cast(Side, found["side"] or ""))
