"""All targets, by name: what ``campaign.py``, the test suite and every engine share."""

from __future__ import annotations

from typing import Final

import secret_targets
import session_targets
import stored_targets
import wire_targets
from table import Target

__all__ = ["TARGETS"]

_ALL: Final = (*wire_targets.TARGETS, *secret_targets.TARGETS, *stored_targets.TARGETS, *session_targets.TARGETS)
TARGETS: Final[dict[str, Target]] = {target.name: target for target in _ALL}
