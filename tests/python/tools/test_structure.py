"""The figures of a package as a graph of modules (tools/structure.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
from structure import Function, circles, circles_of_siblings, main, read_structure

#: Circles: p.a.x, p.b and p.a.y at once; of the siblings in p and in p.a too.
FILES = {
    "__init__.py": "from .b import g\n",
    "a/__init__.py": "",
    "a/x.py": "import os\nfrom p import b\nfrom p.a import y\n",
    "a/y.py": "from . import x\n",
    "b.py": (
        "from __future__ import annotations\n"
        "def g(one, /, two, *three, four, **five):\n"
        "    from .a.x import nothing\n"
        "    def inner(): ...\n"
        "class C:\n"
        "    def method(self, one):\n"
        "        ...\n"
        "    @staticmethod\n"
        "    def static(one): ...\n"
    ),
    "c.py": "import p.a.y\n",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_arrows_are_between_modules(checkout: Path) -> None:
    assert read_structure(checkout / "p").arrows == {
        "p": {"p.b"},
        "p.a": set(),
        "p.a.x": {"p.b", "p.a.y"},
        "p.a.y": {"p.a.x"},
        "p.b": {"p.a.x"},
        "p.c": {"p.a.y"},
    }


def test_circles_of_modules_and_of_siblings(checkout: Path) -> None:
    arrows = read_structure(checkout / "p").arrows
    assert circles(arrows) == [["p.a.x", "p.a.y", "p.b"]]
    assert circles_of_siblings(arrows) == [["p.a", "p.b"], ["p.a.x", "p.a.y"]]
    assert circles_of_siblings({"p.a.x": frozenset({"p.b"}), "p.b": frozenset()}) == []


def test_functions_with_their_lines_and_parameters(checkout: Path) -> None:
    assert read_structure(checkout / "p").functions == [
        Function("p.b.g", 3, 5),
        Function("p.b.C.method", 2, 1),
        Function("p.b.C.static", 1, 1),
        Function("p.b.g.inner", 1, 0),
    ]


def test_checkouts_stand_side_by_side(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    (other / "p").mkdir(parents=True)
    (other / "p" / "alone.py").write_text("")
    main([str(checkout), str(other), "--package", "p"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["files", "6", "1"] in lines
    assert ["arrows", "6", "0"] in lines
    assert ["circles", "1", "0"] in lines
    assert ["p.alone", "-", "1", "/", "0"] in lines


def test_no_package_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path)])
    assert ended.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1
