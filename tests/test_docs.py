"""The documentation matches the project: links, files, modules, public names, commands, and where to find what."""

from __future__ import annotations

import re
import shlex

import pytest
from support.environment import ROOT

import latent_editor as le
from latent_editor.cli.shell import build_parser
from latent_editor.train.__main__ import PARTS

#: Every page for readers, with paths relative to the root.
PAGES = [path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))] + [
    "benchmarks/README.md",
    "weights/portraits/README.md",
    *(path.relative_to(ROOT).as_posix() for path in ROOT.glob(".github/**/*.md")),
]


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_exist(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)|src=\"([^\":]+)\"", text)
    for target in (a or b for a, b in targets):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"


@pytest.mark.parametrize("page", PAGES)
def test_paths_in_the_text_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    folders = "scripts|tests|benchmarks|weights|docs|latent_editor|\\.ci|\\.github"
    for path in re.findall(rf"`((?:{folders})/[\w/.-]*)`", text):
        assert (ROOT / path).exists(), f"{page} mentions {path}"


@pytest.mark.parametrize("page", PAGES)
def test_source_files_and_modules_in_the_text_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    folders = ("latent_editor", "tests", "benchmarks", "docs")
    sources = [path.as_posix() for folder in folders for path in (ROOT / folder).rglob("*.*")] + ["/app.py"]
    for name in re.findall(r"`([\w/-]+\.(?:py|js|css|html|cpp|cu))`", text):
        assert any(path.endswith(f"/{name}") for path in sources), f"{page} mentions {name}"
    for module in re.findall(r"\blatent_editor(?:\.[a-z_0-9]+)+\b", text):
        *folder, last = module.split(".")
        package = ROOT.joinpath(*folder)
        known = (package / f"{last}.py", package / last / "__init__.py")
        home = package.with_suffix(".py") if package.with_suffix(".py").exists() else package / "__init__.py"
        assert any(path.exists() for path in known) or re.search(rf"\b{last}\b", home.read_text(encoding="utf-8")), (
            f"{page} mentions {module}"
        )


@pytest.mark.parametrize("page", PAGES)
def test_linked_headings_exist(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)#([^)]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        linked = (ROOT / page).parent / target if target else ROOT / page
        titles = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), flags=re.MULTILINE)
        slugs = {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}
        assert anchor in slugs, f"{page} links to {target}#{anchor}"


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])  # which has old names too
def test_public_names_exist(page: str) -> None:
    used = set(re.findall(r"\ble\.([A-Za-z_]\w*)", (ROOT / page).read_text(encoding="utf-8")))
    assert used <= set(le.__all__)


@pytest.mark.parametrize("page", PAGES)
def test_shell_commands_parse(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    for line in "".join(blocks).replace("\\\n", " ").replace(" && ", "\n").splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "latent-editor":
            assert callable(build_parser().parse_args(words[1:]).run), line


def passages(page: str) -> list[str]:
    """The rows of the table of CONTRIBUTING.md, and the steps of the walks of docs/architecture.md."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if page == "CONTRIBUTING.md":
        return text.split("## Where to add it\n")[1].split("\n## ")[0].strip().splitlines()[2:]
    return re.findall(r"^\d\. .*(?:\n   .*)*", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "passage"), [(p, x) for p in ("CONTRIBUTING.md", "docs/architecture.md") for x in passages(p)]
)
def test_named_code_is_in_the_linked_files(page: str, passage: str) -> None:
    links = [(ROOT / page).parent / link for link in re.findall(r"\]\(([^)]+)\)", passage)]
    linked = "".join(path.read_text(encoding="utf-8") for path in links if path.is_file())
    names = {name for name in re.findall(r"`@?([A-Za-z_]\w+)`", passage) if not name.startswith("NAME")}
    missing = {name for name in names if not re.search(rf"\b{name}\b", linked)}
    assert not missing, f"{page}: not in the files that this links to: {passage[:100]}"


def test_every_training_part_is_documented() -> None:
    table = re.findall(
        r"^\| `(\w+)` \|", (ROOT / "docs" / "training.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert set(table) == set(PARTS)
