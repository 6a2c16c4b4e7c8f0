"""A package as a graph of modules, in figures: one column for each checkout.

    python tools/structure.py                      this checkout
    python tools/structure.py ../before .          two of them, to compare

The package is alcs_onnx unless --package names another folder. Only the standard library is used,
and nothing of the package is imported or run. An arrow is one module that imports another one,
wherever the statement stands: at the top, in a function, or for type checking only. A circle is a
set of modules of which each reaches all others along arrows.
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LONGEST = 60
MOST_PARAMETERS = 8


@dataclass(frozen=True)
class Function:
    """A function or method: `module.Class.name`, lines of its definition, parameters."""

    name: str
    lines: int
    parameters: int


@dataclass(frozen=True)
class Module:
    """A file of Python: its dotted name, lines, functions, and the names that it imports."""

    name: str
    lines: int
    functions: tuple[Function, ...]
    imported: frozenset[str]


@dataclass(frozen=True)
class Structure:
    """All modules of a package by dotted name, and what each of them imports of the package."""

    modules: dict[str, Module]
    arrows: dict[str, frozenset[str]]

    @property
    def functions(self) -> list[Function]:
        """All functions, the longest one first."""
        every = (f for module in self.modules.values() for f in module.functions)
        return sorted(every, key=lambda f: (-f.lines, f.name))


def read_structure(folder: Path) -> Structure:
    """The structure of the package in `folder`. Raises OSError and SyntaxError."""
    files = sorted(folder.rglob("*.py"))
    if not files:
        raise FileNotFoundError(f"no Python files in {folder}")
    modules = {m.name: m for m in (_read_module(path, folder) for path in files)}
    arrows = {
        name: frozenset(filter(None, (_module_of(i, modules) for i in m.imported))) - {name}
        for name, m in modules.items()
    }
    return Structure(modules, arrows)


def circles(arrows: dict[str, frozenset[str]]) -> list[list[str]]:
    """Sets of two and more modules that reach each other, sorted."""
    reached = {name: _reached(name, arrows) for name in arrows}
    sets = {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in arrows
        if name in reached[name]
    }
    return sorted(sorted(members) for members in sets)


def circles_of_siblings(arrows: dict[str, frozenset[str]]) -> list[list[str]]:
    """The same between what stands side by side in a folder, folders taken as one thing each."""
    found = []
    for parent in sorted({name.rpartition(".")[0] for name in arrows} - {""}):
        below: dict[str, set[str]] = {}
        for name, targets in arrows.items():
            if child := _child(name, parent):
                others = below.setdefault(child, set())
                others.update(filter(None, (_child(target, parent) for target in targets)))
        found += circles({child: frozenset(o - {child}) for child, o in below.items()})
    return found


def _child(name: str, parent: str) -> str | None:
    """What of `parent` a module is or belongs to."""
    if not name.startswith(f"{parent}."):
        return None
    return f"{parent}.{name.removeprefix(f'{parent}.').partition('.')[0]}"


def _reached(start: str, arrows: dict[str, frozenset[str]]) -> set[str]:
    found: set[str] = set()
    left = list(arrows[start])
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(arrows[name])
    return found


def _read_module(path: Path, folder: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, str(path))
    parts = path.relative_to(folder.parent).with_suffix("").parts
    package = parts[:-1]
    name = ".".join(package if parts[-1] == "__init__" else parts)
    return Module(
        name,
        len(text.splitlines()),
        tuple(_functions(tree, name)),
        frozenset(_imports(tree, package)),
    )


def _functions(node: ast.AST, prefix: str, in_class: bool = False) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}.{child.name}", True)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{prefix}.{child.name}"
            assert child.end_lineno is not None
            lines = child.end_lineno - child.lineno + 1
            yield Function(name, lines, _parameters(child, in_class))
            yield from _functions(child, name)
        else:
            yield from _functions(child, prefix, in_class)


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef, in_class: bool) -> int:
    """How many there are, `self` and `cls` of methods aside."""
    a = function.args
    decorators = function.decorator_list
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in decorators)
    named = len(a.posonlyargs) + len(a.args) + len(a.kwonlyargs)
    return named + (a.vararg is not None) + (a.kwarg is not None) - (in_class and not static)


def _imports(tree: ast.Module, package: tuple[str, ...]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join((*above, *filter(None, [node.module])))
            yield from (f"{source}.{alias.name}" for alias in node.names)


def _module_of(name: str, modules: dict[str, Module]) -> str | None:
    """The module that an imported name is, or is taken from."""
    while name:
        if name in modules:
            return name
        name = name.rpartition(".")[0]
    return None


def figures(structure: Structure) -> dict[str, str]:
    """What is printed of a package, by label."""
    longest = structure.functions[:1]
    found = circles(structure.arrows)
    return {
        "files": f"{len(structure.modules):,}",
        "lines": f"{sum(m.lines for m in structure.modules.values()):,}",
        "lines of the longest file": f"{max(m.lines for m in structure.modules.values()):,}",
        "functions": f"{len(structure.functions):,}",
        "lines of the longest function": f"{longest[0].lines if longest else 0:,}",
        f"functions over {LONGEST} lines": f"{len(_long(structure)):,}",
        f"functions with more than {MOST_PARAMETERS} parameters": f"{len(_wide(structure)):,}",
        "arrows": f"{sum(map(len, structure.arrows.values())):,}",
        "circles": f"{len(found):,}",
        "modules in circles": f"{sum(map(len, found)):,}",
        "circles of siblings": f"{len(circles_of_siblings(structure.arrows)):,}",
    }


def _long(structure: Structure) -> list[Function]:
    return [f for f in structure.functions if f.lines > LONGEST]


def _wide(structure: Structure) -> list[Function]:
    wide = [f for f in structure.functions if f.parameters > MOST_PARAMETERS]
    return sorted(wide, key=lambda f: (-f.parameters, f.name))


def _folders(structure: Structure) -> dict[str, str]:
    """Files and lines of the package's folders and of each of its own files."""
    files: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for name, module in structure.modules.items():
        folder = ".".join(name.split(".")[:2])
        files[folder] += 1
        lines[folder] += module.lines
    return {name: f"{files[name]:,} / {lines[name]:,}" for name in sorted(files)}


def _print_table(title: str, heads: list[str], columns: list[dict[str, str]]) -> None:
    """Labels at the left, then a column for each of `heads`. All columns have the same labels."""
    rows = [[title, *heads]]
    rows += [[label, *(column[label] for column in columns)] for label in columns[0]]
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    for label, *cells in rows:
        print(f"{label:<{first}}", *map(str.rjust, cells, widths), sep="  ")


def _print_lists(head: str, structure: Structure) -> None:
    for f in _long(structure):
        print(f"{head}: {f.name}: {f.lines} lines")
    for f in _wide(structure):
        print(f"{head}: {f.name}: {f.parameters} parameters")
    for circle in circles(structure.arrows):
        print(f"{head}: circle of {len(circle)}: {', '.join(circle)}")
    for circle in circles_of_siblings(structure.arrows):
        print(f"{head}: circle of {len(circle)} siblings: {', '.join(circle)}")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "checkout", nargs="*", type=Path, default=[Path(__file__).resolve().parents[1]]
    )
    parser.add_argument("--package", default="alcs_onnx", help="its folder (default: %(default)s)")
    args = parser.parse_args(argv)
    heads = [path.resolve().name for path in args.checkout]
    try:
        structures = [read_structure(path.resolve() / args.package) for path in args.checkout]
    except (OSError, SyntaxError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    _print_table("figure", heads, [figures(s) for s in structures])
    print()
    folders = [_folders(s) for s in structures]
    names = sorted({name for column in folders for name in column})
    columns = [{name: column.get(name, "-") for name in names} for column in folders]
    _print_table("files / lines", heads, columns)
    print()
    for head, structure in zip(heads, structures, strict=True):
        _print_lists(head, structure)


if __name__ == "__main__":
    main()
