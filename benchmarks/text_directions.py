"""Effects and side effects of text directions: every method on the same faces.

The classifiers are those of ``edits.py``, which are independent of the CLIP and the text statistics. For each prompt
and method, random faces and held-out portraits are edited at +2::

    python benchmarks/text_directions.py --train T.tar --train-labels T.jsonl --data V.tar --labels V.jsonl

writes ``benchmarks/results/text_directions.json`` and the table of ``docs/text.md``.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import json
from pathlib import Path
from typing import Any

import numpy as np
from edits import PROMPTS, arguments, measure_prompt, prepare, render
from tables import put

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "text_directions.json", ROOT / "docs" / "text.md"


def summary(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Summary of one method's results by prompt."""
    rows = list(found.values())
    return {
        "prompts": len(rows),
        "right_on_80_percent": sum(r["right_way"] >= 0.8 for r in rows),
        "median_own": round(float(np.median([r["own"] for r in rows])), 2),
        "median_ratio": round(float(np.median([r["ratio"] for r in rows])), 2),
    }


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    methods = list(results["methods"])
    faces = results["faces"]
    lines = [
        f"{faces['random']} random and {faces['inverted']} inverted faces at +2, in standard deviations of "
        f"portraits; model {results['model']['fingerprint']}. Right: faces that move the right way. Leak: the largest "
        "other change.",
        "",
        "| prompt | " + " | ".join(f"{m}: own | right | leak" for m in methods) + " |",
        "|---|" + "---|---|---|" * len(methods),
    ]
    for prompt in results["methods"][methods[0]]:
        cells = []
        for method in methods:
            row = results["methods"][method][prompt]
            name, value = row["largest_leak"]
            cells.append(f"{row['own']:.1f} | {row['right_way']:.0%} | {name} {value:+.1f}")
        lines.append(f"| {prompt} | " + " | ".join(cells) + " |")
    totals = "; ".join(
        f"{m}: {s['right_on_80_percent']} of {s['prompts']} prompts move 80 % of faces the right way, own effect "
        f"{s['median_own']}, {s['median_ratio']} times the largest leak (medians)"
        for m, s in results["summary"].items()
    )
    return "\n".join([*lines, "", f"{totals}."])


def main() -> None:
    parser = arguments(__doc__ or "", random=24, inverted=8)
    parser.add_argument("--methods", nargs="+", default=["fast", "global"], choices=("fast", "global", "optimize"))
    args = parser.parse_args()
    classifiers, ws, head = prepare(args)
    seen = classifiers.read(render(classifiers.g, ws))
    found: dict[str, dict[str, Any]] = {method: {} for method in args.methods}
    for prompt in PROMPTS:
        for method in args.methods:
            found[method][prompt] = measure_prompt(classifiers, ws, seen, prompt, method)
            print(prompt, method, found[method][prompt], flush=True)
    results = {
        **head,
        "methods": found,
        "summary": {method: summary(rows) for method, rows in found.items()},
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    put(PAGE, "measured", table(results))
    print(table(results))


if __name__ == "__main__":
    main()
