"""Generates the tables in the documentation.

Measured figures come from the benchmark reports in ``benchmarks/results``; the table of rooms in
``docs/architecture.md`` comes from ``FLOORS`` in ``tests/test_imports.py`` and from the packages' docstrings.

``python docs/make_tables.py`` replaces the text between ``<!-- NAME -->`` and ``<!-- /NAME -->``.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

from tables import put  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
README, CARD = ROOT / "README.md", ROOT / "weights" / "portraits" / "README.md"
BENCHMARKS = ROOT / "benchmarks" / "README.md"
PAGE = ROOT / "docs" / "app.md"
REPAIR = ROOT / "docs" / "repair.md"
EDITS = ROOT / "docs" / "edits.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGE_RESULTS = ("page.json", "concurrent_users.json", "memory.json", "start.json")
#: Above this load, timings reflect other processes too.
BUSY = 3
SHOWN_PROMPTS = ("a beard", "red hair", "an old person", "long hair", "blond hair", "a smile")


def main() -> None:
    put(ARCHITECTURE, "rooms", rooms())
    inversion, text, many = _read("inversion.json"), _read("text_directions.json"), _read("quality.json")
    put(README, "likeness", _summary(inversion, text, many))
    put(CARD, "figures", _figures(inversion))
    put(CARD, "many", _many(many))
    if all((RESULTS / name).exists() for name in PAGE_RESULTS):  # these need a browser
        put(PAGE, "page", _page(*(_read(name) for name in PAGE_RESULTS)))
    put(CARD, "clip", _aucs(json.loads((CARD.parent / "clip_auc.json").read_text())["zero_shot_auc"]))
    put(BENCHMARKS, "rendering", _rendering(_read("rendering.json")))
    if all((RESULTS / name).exists() for name in (*PAGE_RESULTS, "inversion.json")):
        put(README, "speed", _speed())
    put(BENCHMARKS, "ops", _operations(_read("ops.json")))
    put(CARD, "random", _random(_read("random_faces.json")))
    put(EDITS, "photographs", _photographs(_read("photographs.json")))
    if (RESULTS / "repair.json").exists():
        put(REPAIR, "repair", _repair(_read("repair.json")))


def rooms() -> str:
    """The table of rooms, one row each, from the top floor down. Parses the sources and imports none of them."""
    lines = ["| floor | room | what it holds |", "|---:|---|---|"]
    floors = _floors()
    for height, names in zip(range(len(floors), 0, -1), floors, strict=True):
        for room in names:
            floor = height if room == names[0] else ""
            path = _source_of(room)
            target = path.parent if path.name == "__init__.py" and room else path
            title = f"`{room}`" if room else "`__init__.py`"
            link = f"[{title}](../{target.relative_to(ROOT).as_posix()})"
            lines.append(f"| {floor} | {link} | {_first_line(path).replace('``', '`')} |")
    return "\n".join(lines)


def _floors() -> tuple[tuple[str, ...], ...]:
    tree = ast.parse((ROOT / "tests" / "test_imports.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "FLOORS":
            floors: tuple[tuple[str, ...], ...] = ast.literal_eval(node.value)
            return floors
    raise SystemExit("tests/test_imports.py has no FLOORS.")


def _source_of(room: str) -> Path:
    """The file that documents a room: a module, or the ``__init__.py`` of a package."""
    if room == "app":
        return ROOT / "app.py"
    place = ROOT.joinpath("latent_editor", *filter(None, room.split(".")))
    module = place.with_suffix(".py")
    return module if room and module.exists() else place / "__init__.py"


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not docstring:
        raise SystemExit(f"{path.name} has no docstring to describe it with.")
    return docstring.splitlines()[0]


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / name).read_text())
    return found


def _size_px() -> int:
    size: int = json.loads((CARD.parent / "model.json").read_text())["size_px"]
    return size


def _many(found: dict[str, Any]) -> str:
    lines = [
        f"| {found['count']} validation portraits | mean | 10th percentile | minimum | seconds | sliders |",
        "|---|---|---|---|---|---|",
    ]
    for name, told in found["stages"].items():
        cells = " | ".join(f"{told[key]:.1f} dB" for key in ("mean_db", "tenth_db", "least_db"))
        lines.append(f"| {name} | {cells} | {told['median_seconds']:.2f} | {told['sliders']:.2f} |")
    return "\n".join([*lines, "", f"`benchmarks/quality.py`. {_where(found)}"])


def _random(found: dict[str, Any]) -> str:
    head = "| | CLIP: Fréchet | precision | recall | pixels: Fréchet | precision | recall |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for name, told in found["spaces"]["CLIP"].items():
        both = told, found["spaces"]["pixels"][name]
        cells = " | ".join(f"{x['times_floor']:.1f} × | {x['precision']:.2f} | {x['recall']:.2f}" for x in both)
        lines.append(f"| {name} | {cells} |")
    about = (
        f"{found['random']:,} random faces, compared with {found['validation']} validation portraits. Fréchet "
        "distances are multiples of the training portraits' own; precision and recall use the third nearest neighbor. "
        f"`benchmarks/random_faces.py`. {_where(found)}"
    )
    return "\n".join([*lines, "", about])


def _photographs(found: dict[str, Any]) -> str:
    lines = [
        "| edit at 2 | own effect | largest unwanted | identity | background | sharpness |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in found["edits"].items():
        if "identity_to_photo" not in row:
            continue
        own, (worst, size) = row["own"], row["largest_unwanted"]
        effect = f"{own['read_as']} {own['mean']:+.2f}" if own else ""
        by = "" if "slider" in row["made_by"] else " (a prompt)"
        lines.append(
            f"| {name}{by} | {effect} | {worst} {size:+.2f} | {row['identity_to_photo']:.2f} "
            f"| {row['background_moved_pasted']:.1f} | {row['sharpness'] or 0:.2f} |"
        )
    mean, held = found["mean"], found["encoder"]["held out"]
    lines.append(
        f"| **mean** | | | {mean['identity_to_photo']:.2f} | {mean['background_moved_pasted']:.1f} "
        f"| {mean['sharpness']:.2f} |"
    )
    added = held["added_to_neutral"]
    time = f"{found['steps']} steps a stage" if found["steps"] else f"{found['seconds']} seconds"
    about = (
        f"{found['people']['all']} people, each reconstructed for {time}: {found['inversion_db']['final']:.1f} dB. The "
        f"encoder alone, on {held['people']} people: {held['psnr_db']:.1f} dB, identity {held['identity']:.2f}; to "
        f"those who look neutral it adds {added['happiness']:+.2f} of happiness and {added['years']:+.1f} years. "
        f"`benchmarks/photographs.py`. {_where(found['setting'])}"
    )
    return "\n".join([*lines, "", about])


def _repair(found: dict[str, Any]) -> str:
    baselines = {"8×": "bicubic", "hole": "Telea"}
    rows = []
    for name, row in found["repairs"].items():
        a, b = row["plain"], row["repaired"]
        inside = f"{a['psnr_in_hole_db']:.1f} → {b['psnr_in_hole_db']:.1f}" if name == "hole" else ""
        title = f"{name} | {baselines.get(name, 'left gray')}"
        rows.append(
            f"| {title} | {a['perceptual']:.4f} → {b['perceptual']:.4f} | {a['psnr_db']:.1f} → {b['psnr_db']:.1f} "
            f"| {inside} | {a['chroma']:.3f} → {b['chroma']:.3f} | {row['seconds']:.1f} |"
        )
    lines = "\n".join(rows)
    return f"""\
| damage | baseline | perceptual distance | PSNR, dB | in the hole, dB | chroma error | seconds |
|---|---|---|---|---|---|---|
{lines}

{found["count"]} validation portraits at {found["size_px"]}²,
{found["machine"]["threads"]} threads under a load of {found["machine"]["load"]}; `benchmarks/repair.py`."""


def _summary(inversion: dict[str, Any], text: dict[str, Any], many: dict[str, Any]) -> str:
    fast = text["methods"]["fast"]
    moved = ", ".join(f"“{k}” {fast[k]['right_way']:.0%}" for k in SHOWN_PROMPTS)
    faces = sum(text["faces"].values())
    means = ", ".join(f"{name} {told['mean_db']:.1f} dB" for name, told in many["stages"].items())
    return f"""\
{_ladder(inversion)}

Mean over {many["count"]} validation portraits: {means}.

Measured by `benchmarks/inversion.py`. “Sliders” is the effect of sliders relative to random faces, where it is 1. The
[model card](weights/portraits/README.md) has the rest, including the CLIP. Share of {faces} faces that text directions
move the right way, by `benchmarks/text_directions.py`: {moved}."""


def _figures(inversion: dict[str, Any]) -> str:
    lines = [_ladder(inversion), "", "| photograph | encoder, dB | after 60 s, dB |", "|---|---|---|"]
    for row in inversion["photos"]["each"]:
        lines.append(f"| {row['name']} | {row['stages'][0]['psnr_db']:.1f} | {row['stages'][-1]['psnr_db']:.1f} |")
    return "\n".join(
        [*lines, "", f"None of these was in the training data. `benchmarks/inversion.py`. {_where(inversion)}"]
    )


def _ladder(inversion: dict[str, Any]) -> str:
    """Fidelity and editability by stage, for portraits and photographs."""
    groups = {"validation portraits": inversion["portraits"], "photographs": inversion["photos"]}
    counts = {name: len(group["each"]) for name, group in groups.items()}
    titles = [f"{n} {name}" if n > 1 else f"{n} {name[:-1]}" for name, n in counts.items()]
    lines = [f"| {_size_px()}², two cores | {' | sliders | '.join(titles)} | sliders |", "|---|---|---|---|---|"]
    for rows in zip(*(group["stages"] for group in groups.values()), strict=True):
        cells = [f"{row['psnr_db']:.1f} dB in {row['seconds']:.1f} s | {row['sliders']:.2f}" for row in rows]
        lines.append(f"| {rows[0]['stage']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _rendering(report: dict[str, Any]) -> str:
    lines = [
        "| | limit | floor | **this project** | plain | reference | × limit | × limit, CPU time | × reference |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in report["rows"]:
        shown = {key: f"{row[key]:.1f}" if key in row else "" for key in ("floor_ms", "plain_ms", "reference_ms")}
        faster = f"{row['faster_than_reference']:.1f}" if "faster_than_reference" in row else ""
        lines.append(
            f"| {row['model']}, {row['precision']}, batch {row['batch']} | {row['limit_ms']:.1f} | {shown['floor_ms']} "
            f"| **{row['median_ms']:.1f}** | {shown['plain_ms']} | {shown['reference_ms']} "
            f"| {row['times_the_limit']:.2f} | {row['times_the_limit_cpu']:.2f} | {faster} |"
        )
    return "\n".join([*lines, "", f"Milliseconds, medians. {_where(report)}"])


def _operations(report: dict[str, Any]) -> str:
    lines = ["| operation | minimum | median | maximum |", "|---|---:|---:|---:|"]
    for device, ops in report["summary"].items():
        for name, ratios in ops.items():
            figures = " | ".join(f"{ratios[key]:.2f}" for key in ("least", "median", "greatest"))
            lines.append(f"| {name}, {device.upper()} | {figures} |")
    return "\n".join([*lines, "", _where(report)])


def _where(report: dict[str, Any]) -> str:
    machine, versions = report["machine"], report["versions"]
    return (
        f"Measured on {report['date']} at `{report['commit']}`: {machine['threads']} threads with "
        f"{machine['instructions']}, load {machine['load']}, PyTorch {versions['torch']}."
    )


def _page(page: dict[str, Any], visitors: dict[str, Any], memory: dict[str, Any], start: dict[str, Any]) -> str:
    lines = ["| what | measured | budget |", "|---|---|---|"]
    for what, row in page["rows"].items():
        lines.append(f"| {what} | {_duration(row['p50_ms'])} | {_duration(row['budget_ms'])} |")
        if "budget_p95_ms" in row:
            lines.append(
                f"| {what}, 95th percentile | {_duration(row['p95_ms'])} | {_duration(row['budget_p95_ms'])} |"
            )
    drawn, first, last = memory["rows"][-1]["renders"], memory["rows"][1], memory["rows"][-1]
    growth = f"{first['memory_mb']:.0f} → {last['memory_mb']:.0f} MB"
    lines += [
        f"| eight concurrent users, slowest | {visitors['slowest_rate']:.1f} frames/s | {visitors['wanted_rate']:g} |",
        f"| memory over {drawn:,} frames | {growth} | {memory['wanted_growth']:+.0%} |",
    ]
    if start["machine"]["load"] < BUSY:
        lines += [
            f"| {name}: page usable, first frame | {row['page_usable_s']:.1f} s, {row['first_frame_s']:.1f} s | |"
            for name, row in start["rows"].items()
        ]
    return "\n".join(lines)


def _speed() -> str:
    """Performance targets and measurements."""
    rendering, page, visitors = _read("rendering.json"), _read("page.json"), _read("concurrent_users.json")
    memory, inversion = _read("memory.json"), _read("inversion.json")
    single = {(r["model"].split()[0], r["precision"]): r for r in rendering["rows"] if r["batch"] == 1}
    ffhq, mine = single["FFHQ", "bf16"], single["embedded", "bf16"]
    slider = next(row for what, row in page["rows"].items() if what.startswith("slider to pixels"))
    first, last = memory["rows"][1], memory["rows"][-1]
    rows = [
        ("FFHQ-1024, one image, relative to its matrix products alone", f"{ffhq['times_the_limit']:.1f} ×", "2.2 ×"),
        (
            "FFHQ-1024, one image, versus the reference implementation",
            f"{ffhq['faster_than_reference']:.1f} × faster",
            "8 ×",
        ),
        (f"{mine['model']}, one image", f"{mine['median_ms']:.1f} ms", "25 ms"),
        (
            "slider to pixels in a browser",
            f"{slider['p50_ms']:.0f} ms, 95th percentile {slider['p95_ms']:.0f} ms",
            "30, 60 ms",
        ),
        ("eight users dragging, slowest", f"{visitors['slowest_rate']:.1f} frames/s", "8"),
        (
            f"memory over {last['renders']:,} frames",
            f"{first['memory_mb']:.0f} → {last['memory_mb']:.0f} MB",
            f"{memory['wanted_growth']:+.0%}",
        ),
    ]
    compared = [row for row in inversion["portraits"]["each"] if "plain_adam" in row]
    if compared:
        mean = {
            key: sum(row[key]["psnr_db"] for row in compared) / len(compared) for key in ("five_seconds", "plain_adam")
        }
        rows.append(
            (
                "inversion in 5 s, versus 60 s of plain Adam",
                f"{mean['five_seconds']:.1f} dB, {mean['plain_adam']:.1f} dB",
                "at least equal",
            )
        )
    lines = ["| two CPU cores | measured | target |", "|---|---|---|"]
    lines += [f"| {what} | {measured} | {target} |" for what, measured, target in rows]
    return "\n".join([*lines, "", f"Generated by `python benchmarks/speed.py`. {_where(rendering)}"])


def _duration(ms: float) -> str:
    return f"{ms:.0f} ms" if ms < 100 else f"{ms / 1000:.2g} s"


def _aucs(found: dict[str, float]) -> str:
    items = [f"{name} | {value:.3f}" for name, value in found.items()]
    items += [" | "] * (-len(items) % 3)
    rows = ["| " + " | ".join(items[i : i + 3]) + " |" for i in range(0, len(items), 3)]
    return "\n".join(["| | AUC | | AUC | | AUC |", "|---|---|---|---|---|---|", *rows])


if __name__ == "__main__":
    main()
