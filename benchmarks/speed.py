"""Runs all speed benchmarks and updates their tables: ``python benchmarks/speed.py``.

Takes about half an hour on two idle cores. ``--validation`` names the portraits for the inversion benchmark, which is
skipped without them. ``benchmarks/README.md`` explains what each part measures and how to read it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("rendering", "ops", "batching", "page", "concurrent_users", "memory", "start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = ROOT.parent / "shared"
    parser.add_argument("--validation", type=Path, default=shared / "data" / "portraits" / "validation.tar")
    parser.add_argument("--photos", type=Path, default=shared / "photos")
    parser.add_argument("--only", nargs="+", choices=[*PARTS, "inversion"], help="run only these")
    args = parser.parse_args()
    commands = {part: [f"benchmarks/{part}.py"] for part in PARTS}
    if args.validation.exists():
        words = ["--validation", str(args.validation)]
        photos = ["--photos", str(args.photos)] if args.photos.exists() else []
        commands["inversion"] = ["benchmarks/inversion.py", *words, *photos]
    failed = []
    for part in args.only or commands:
        print(f"\n## {part}\n", flush=True)
        if subprocess.run([sys.executable, *commands[part]], cwd=ROOT).returncode:
            failed.append(part)  # keep going: the other results are still useful
    subprocess.run([sys.executable, "docs/make_tables.py"], cwd=ROOT, check=True)
    if failed:
        raise SystemExit(f"Not measured: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
