"""Each numbered equation and algorithm of the papers is tied to the code that computes it.

`IMPLEMENTED` is the table; it can be read as an index from the papers into the code. A row holds
when the docstring of the object, or that of its module, cites the item. The other way round, no
docstring of the package cites an item that its paper does not have.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import alcs_onnx

#: Paper, item, `module:object` within the package.
IMPLEMENTED = [
    ("ALCS", "eq. 1", "pipeline.optimize.command:optimize"),
    ("ALCS", "eq. 2", "latency.estimator:Estimator"),
    ("ALCS", "eq. 2", "latency.estimator:Estimator.model_ms"),
    ("ALCS", "eq. 3", "latency.estimator:LayerEstimate"),
    ("ALCS", "eq. 4", "latency.estimator:LayerEstimate.time"),
    ("ALCS", "eq. 5", "latency.estimator:LayerEstimate.time"),
    ("ALCS", "eq. 6", "latency.estimator:LayerEstimate.slopes"),
    ("ALCS", "eq. 7", "train.admm:admm"),
    ("ALCS", "eq. 8", "train.admm:_Admm.add_penalty"),
    ("ALCS", "eq. 9a", "train.admm:_Admm.add_penalty"),
    ("ALCS", "eq. 9b", "train.admm:_Admm.projection"),
    ("ALCS", "eq. 9b", "solve:project"),
    ("ALCS", "eq. 9c", "train.admm:_Admm.update"),
    ("ALCS", "Algorithm 1", "solve.bisection:bisection"),
    ("ALCS", "Algorithm 2", "pipeline.optimize.command:optimize"),
    ("ALCS", "section III-B", "structures.simd:SimdStructure"),
    ("ALCS", "section III-C", "latency.profile:profile"),
    ("SP-LAMP", "eq. 1", "importance.channels:lamp"),
    ("SP-LAMP", "eq. 2", "importance.channels:sp_lamp"),
    ("SP-LAMP", "eq. 3", "importance.channels:sp_lamp"),
    ("SP-LAMP", "eq. 4", "pipeline.optimize.command:optimize"),
    ("SP-LAMP", "eq. 5", "solve.channels:ChannelProblem"),
    ("SP-LAMP", "eq. 6", "latency.contributions:ChannelEstimator"),
    ("SP-LAMP", "eq. 7", "latency.contributions:contribution"),
    ("SP-LAMP", "eq. 8", "solve.knapsack:group_knapsack"),
    ("SP-LAMP", "eq. 9", "solve.knapsack:_options"),
    ("SP-LAMP", "eq. 10", "solve.knapsack:_table"),
    ("SP-LAMP", "Algorithm 1", "solve.knapsack:group_knapsack"),
    ("SP-LAMP", "section 3.2", "latency.contributions:measure_contributions"),
    ("SP-LAMP", "section 3.3", "solve.channels:stage_budgets"),
    ("ADMM-NN-S", "eq. 1", "train.admm:admm"),
    ("ADMM-NN-S", "eq. 2", "train.admm:_Admm.add_penalty"),
    ("ADMM-NN-S", "eq. 3", "train.admm:_Admm.projection"),
    ("ADMM-NN-S", "eq. 3", "structures.base:largest_groups"),
    ("ADMM-NN-S", "section 4.1", "structures.axes:AxisStructure"),  # the sets of pruning
    ("ADMM-NN-S", "section 4.1", "codebooks:quantize"),  # the set of quantization
    ("ADMM-NN-S", "section 4.2", "codebooks:nearest_levels"),
    ("ADMM-NN-S", "section 4.2", "train.finetune:finetune"),  # masked retraining
    ("ADMM-NN-S", "section 4.2", "train.quantize:quantize_weights"),  # masked mapping
    ("ADMM-NN-S", "section 4.3", "train.penalty:Penalty"),  # increasing rho
    (
        "ADMM-NN-S",
        "section 4.3",
        "pipeline.compress.compressor:Compressor.prune",
    ),  # progressive rounds
    ("ADMM-NN-S", "section 4.4", "solve.counts:KeepTarget"),
    ("ADAM-ADMM", "eq. 1", "train.admm:admm"),
    ("ADAM-ADMM", "eq. 2", "train.admm:admm"),
    ("ADAM-ADMM", "eq. 3", "train.admm:_Admm.add_penalty"),
    ("ADAM-ADMM", "eq. 4", "train.admm:_Admm.projection"),
    ("ADAM-ADMM", "eq. 5", "structures.base:largest_groups"),
    ("ADAM-ADMM", "section 4.1", "structures.axes:FILTER"),
    ("ADAM-ADMM", "section 4.2", "structures.axes:CHANNEL"),
    ("ADAM-ADMM", "section 4.3", "structures.axes:SHAPE"),
    ("ADAM-ADMM", "section 4.4", "structures.axes:UNSTRUCTURED"),
    ("ADAM-ADMM", "section 4.5", "structures:structure_sequence"),
    ("ADAM-ADMM", "section 5.1", "graph.fully_connected:as_convolutions"),  # balanced pruning
    ("ADAM-ADMM", "section 5.1", "train.finetune:finetune"),  # refining
]

#: What each paper numbers: its last equation and algorithm, appendices included. Parts of an
#: equation are the letters behind its number.
NUMBERED = {
    "ALCS": {"eq.": 9, "Algorithm": 2},
    "SP-LAMP": {"eq.": 26, "Algorithm": 1},
    "ADMM-NN-S": {"eq.": 3, "Algorithm": 0},
    "ADAM-ADMM": {"eq.": 5, "Algorithm": 0},
}
#: The last equation of the method itself; those that follow are proofs.
METHOD = {"ALCS": 9, "SP-LAMP": 10, "ADMM-NN-S": 3, "ADAM-ADMM": 5}

PACKAGE = Path(alcs_onnx.__file__).parent
_TOKEN = re.compile(
    r"(?P<paper>ALCS|SP-LAMP|ADMM-NN-S|ADAM-ADMM)\b"
    r"|(?P<kind>\b(?:eq\.|equations?\b|sections?\b|[Aa]lgorithm\b))"
    r"|(?P<number>\b(?:\d+(?:\.\d+)?[a-c]?|[IV]+-[A-D])\b)"
    r"|(?P<range>\bto\b|-)"
    r"|(?P<join>,|\band\b)"
    r"|(?P<other>\w+|\S)"
)
_KINDS = {"e": "eq.", "s": "section", "a": "Algorithm"}


def citations(text: str) -> set[tuple[str, str]]:
    """What a docstring cites: (paper, "eq. 2"), lists and ranges written out.

    A number belongs to the kind of item and the paper named last; "A and B eq. 1" cites both.
    """
    found: set[tuple[str, str]] = set()
    papers: list[str] = []
    kind, last, before = "", "", ("", "")
    for match in _TOKEN.finditer(text):
        what, word = str(match.lastgroup), match.group()
        if what == "paper":
            papers = [*papers, word] if before == ("paper", "join") else [word]
        elif what == "kind":
            kind = _KINDS[word[0].lower()]
        elif what == "number" and kind:
            numbers = _between(last, word) if before == ("number", "range") else [word]
            found |= {(paper, f"{kind} {number}") for paper in papers for number in numbers}
            last = word
        if what in ("other", "paper"):
            kind = ""
        before = (before[1], what)
    return found


def _between(first: str, last: str) -> list[str]:
    """ "4.1", "4.4" -> 4.1, 4.2, 4.3, 4.4; "2", "6" -> 2, ..., 6."""
    head, dot, start = first.rpartition(".")
    return [f"{head}{dot}{n}" for n in range(int(start), int(last.rpartition(".")[2]) + 1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(ALCS eq. 2-6)", {("ALCS", f"eq. {n}") for n in range(2, 7)}),
        ("ADAM-ADMM sections 4.1 to 4.3", {("ADAM-ADMM", f"section 4.{n}") for n in (1, 2, 3)}),
        (
            "ALCS eq. 9b, ADMM-NN-S and ADAM-ADMM eq. 1, 2",
            {("ALCS", "eq. 9b")}
            | {(paper, f"eq. {n}") for paper in ("ADMM-NN-S", "ADAM-ADMM") for n in (1, 2)},
        ),
        (
            "SP-LAMP eq. 8 and Algorithm 1 for 12 layers",
            {("SP-LAMP", "eq. 8"), ("SP-LAMP", "Algorithm 1")},
        ),
        ("ALCS section III-B of 2020", {("ALCS", "section III-B")}),
        ("eq. 3 of a paper without a name", set()),
        ("ALCS has 9 equations", set()),
    ],
)
def test_citations_are_read(text: str, expected: set[tuple[str, str]]) -> None:
    assert citations(text) == expected


@pytest.mark.parametrize(("paper", "item", "place"), IMPLEMENTED)
def test_code_cites_what_it_implements(paper: str, item: str, place: str) -> None:
    name = f"alcs_onnx.{place}"
    if place.startswith("train"):
        pytest.importorskip("torch")
    own = inspect.getdoc(pkgutil.resolve_name(name)) or ""
    module = importlib.import_module(name.partition(":")[0]).__doc__ or ""
    assert (paper, item) in citations(own) | citations(module)


def test_every_numbered_item_is_implemented() -> None:
    covered = {(paper, item.rstrip("abc")) for paper, item, _ in IMPLEMENTED}
    wanted = {(paper, f"eq. {n}") for paper, last in METHOD.items() for n in range(1, last + 1)}
    wanted |= {
        (paper, f"Algorithm {n}")
        for paper, kinds in NUMBERED.items()
        for n in range(1, kinds["Algorithm"] + 1)
    }
    assert wanted <= covered


def test_no_docstring_cites_what_a_paper_does_not_have() -> None:
    wrong, seen = [], 0
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                continue
            for paper, item in citations(ast.get_docstring(node) or ""):
                kind, number = item.split(" ")
                seen += 1
                if kind in NUMBERED[paper] and int(number.rstrip("abc")) > NUMBERED[paper][kind]:
                    wrong.append(f"{path.relative_to(PACKAGE)}: {paper} {item}")
    assert not wrong
    assert seen > len(IMPLEMENTED)
