"""To be recorded: a home is made, keys are saved, and the list of who is allowed is written again and again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import trio
from disk_log import note

from ebt_trio import Identity
from ebt_trio.cli.home import Home


def main(root: Path) -> None:
    home = Home(root / "new" / "below" / "home")
    identity, _ = trio.run(home.create)
    note(json.dumps(["home", str(identity)]))
    peers = [str(Identity.generate()) for _ in range(3)]
    for count in (1, 2, 3):
        home.write_allowed(peers[:count])
        note(json.dumps(["allowed", *peers[:count]]))
    key = Identity.generate()
    key.save(root / "key")
    note(json.dumps(["key", str(key)]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
