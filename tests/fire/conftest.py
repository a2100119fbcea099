"""What is here is imported by its plain name, from tests and from programs alike."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
