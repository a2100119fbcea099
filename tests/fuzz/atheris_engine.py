"""The same targets with atheris: ``python tests/fuzz/atheris_engine.py --target frames --inputs 100000``.

libFuzzer makes the inputs, guided by what code they reach, from the same seeds. Linux; ``pip install atheris``. It ends
the process at the first failure, having saved the input; ``campaign.py --replay`` takes it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

try:
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]
except ModuleNotFoundError:
    sys.exit("atheris is not installed: pip install atheris (Linux only)")

with atheris.instrument_imports(include=["ebt_trio", "ebt_transports"]):
    from targets import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, choices=sorted(TARGETS))
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), metavar="DIR")
    options = parser.parse_args()
    target = TARGETS[options.target]
    options.found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder)
        for number, seed in enumerate(target.seeds()):
            (corpus / f"{number:04}").write_bytes(seed)
        settings = {
            "runs": options.inputs,
            "seed": options.seed,
            "timeout": 10,
            "max_len": 4096,
            "artifact_prefix": f"{options.found}/{target.name}-",
            "verbosity": 0,
            "print_final_stats": 1,
        }

        def check(data: bytes) -> None:
            target.check(data)

        atheris.Setup([sys.argv[0], *(f"-{key}={value}" for key, value in settings.items()), str(corpus)], check)
        atheris.Fuzz()  # does not return: it ends the process


if __name__ == "__main__":
    main()
