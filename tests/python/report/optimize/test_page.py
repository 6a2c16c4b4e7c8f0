"""The pages of `optimize` and `sweep`: what they say is what was measured, whatever the names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from html_checks import Document, check, hostile, quiet
from small_models import labelled_images, residual_net
from sweep_samples import point, swept

import alcs_onnx
from alcs_onnx.cli import main
from alcs_onnx.pipeline.common.training import Accuracy, Training
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.pipeline.optimize import OptimizeResult
from alcs_onnx.pipeline.sweep import SweepPoint
from alcs_onnx.report.layout import ms
from alcs_onnx.report.optimize import optimize_page
from alcs_onnx.report.sweep import sweep_page

QUICK = Measuring(warmup=2, iterations=20)
QUICK_FLAGS = ["--warmup", "2", "--iterations", "20"]
SECTIONS = [
    "Budget",
    "Latency",
    "What was lost",
    "Accuracy",
    "Training",
    "Layers",
    "Latency curves of layers",
]
SECTIONS += ["Numeric check", "Machine", "Settings"]


pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residual_net(tmp_path_factory.mktemp("model") / "net.onnx", width=16, size=24)


@pytest.fixture(scope="module")
def trained(network: Path, tmp_path_factory: pytest.TempPathFactory) -> OptimizeResult:
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("run")
    data = labelled_images(folder / "data.npz", size=24, count=64)
    config = {"admm_epochs": 2, "finetune_epochs": 3, "batch_size": 16}
    return alcs_onnx.optimize(
        network,
        "90%",
        folder / "out.onnx",
        method="simd",
        measuring=QUICK,
        training=Training(str(data), config=config),
    )


@pytest.fixture(scope="module")
def channels(network: Path) -> OptimizeResult:
    return alcs_onnx.optimize(network, "90%", None, method="channel", measuring=QUICK)


def titles(found: Document) -> list[str]:
    """The sections by their links at the top."""
    return [href[1:] for href in found.values("href") if href.startswith("#")]


def charts(found: Document) -> list[str | None]:
    return [svg.get("aria-label") for svg in found.find("svg", role="img")]


def test_a_trained_result(trained: OptimizeResult) -> None:
    text = optimize_page(trained)
    found = check(text)
    assert titles(found) == [
        *("budget", "latency", "loss", "accuracy", "training", "layers", "curves", "check"),
        *("machine", "settings"),
    ]
    assert all(f">{name}</a>" in text for name in SECTIONS)
    assert trained.message in found.text
    low, high = trained.reachable_ms
    assert f"{ms(low)} to {ms(high)} ms, by the estimate" in found.text
    for timing in (trained.dense, trained.sparse):
        assert timing is not None
        for value in (timing.median, timing.p90, timing.p99):
            assert ms(value) in found.text
    assert trained.accuracy is not None
    for stage, value in trained.accuracy.stages.items():
        assert stage in found.text
        assert f"{value:.2f}" in found.text
    assert trained.machine.cpu in found.text
    assert trained.model_digest in found.text
    for name in ("shares_by", "refitted_on", "measuring.iterations", "finetune_epochs"):
        assert name in found.text


def test_every_layer_has_its_row_and_its_curve(trained: OptimizeResult) -> None:
    found = check(optimize_page(trained))
    drawn = charts(found)
    assert drawn[:4] == [
        *("Loss of each epoch", "Residuals of ADMM", "How far W is from the plan"),
        "Metric on the test samples",
    ]
    assert drawn[4:] == [curve.layer for curve in trained.curves]
    assert {curve.layer for curve in trained.curves} == {row.layer for row in trained.layers}
    tips = list(found.values("data-tip"))
    for curve, layer in (
        (c, x) for c in trained.curves for x in trained.layers if x.layer == c.layer
    ):
        assert len(curve.groups) == len(curve.times) >= 2
        for name, value in (("plan", layer.predicted_ms), ("in the file", layer.measured_ms)):
            assert value is not None
            assert f"{name}\ndensity: {layer.density:.6g}\ntime (ms): {value:.6g}" in tips
        assert f"measured\ndensity: 1\ntime (ms): {curve.times[-1]:.6g}" in tips
    for record in trained.history:
        assert f"{record['stage']}\nepoch:" in "\n".join(tips)
        assert any(tip.endswith(f"training loss: {record['loss']:.6g}") for tip in tips)


def test_channel_groups_instead(channels: OptimizeResult) -> None:
    found = check(optimize_page(channels))
    assert "channels" in titles(found)
    assert "channel-curves" in titles(found)
    assert "training" not in titles(found)
    assert "accuracy" not in titles(found)
    assert charts(found) == [curve.group for curve in channels.channel_curves]
    tips = list(found.values("data-tip"))
    for group in channels.channels:
        if not group.reason:
            assert any(tip.startswith(f"plan\nchannels kept: {group.kept}\n") for tip in tips)


def renamed(result: OptimizeResult, name: Any) -> OptimizeResult:
    """The result with every text that comes from outside changed by `name`."""
    assert result.accuracy is not None
    stages = {name(stage): value for stage, value in result.accuracy.stages.items()}
    return replace(
        result,
        message=name("message"),
        model=name("model"),
        output=name("output"),
        budget=name("budget"),
        machine=replace(result.machine, cpu=name("cpu"), library=name("library")),
        layers=tuple(
            replace(x, layer=name(x.layer), reason=name("why"), fused=name("fused"), op=name(x.op))
            for x in result.layers
        ),
        curves=tuple(replace(curve, layer=name(curve.layer)) for curve in result.curves),
        accuracy=Accuracy(name("accuracy"), 10, stages),
        settings={name(key): name("value") for key in result.settings},
        model_digest=name("digest"),
    )


def test_hostile_names_change_nothing_but_the_text(trained: OptimizeResult) -> None:
    attacked = check(optimize_page(renamed(trained, hostile)))
    calm = check(optimize_page(renamed(trained, quiet)))
    assert [tag for tag, _ in attacked.elements] == [tag for tag, _ in calm.elements]
    assert [set(a) for _, a in attacked.elements] == [set(a) for _, a in calm.elements]


@pytest.mark.parametrize("rename", [str, hostile])
def test_a_browser_has_nothing_to_say(
    rename: Callable[[str], str],
    trained: OptimizeResult,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    chrome = request.getfixturevalue("browser")
    result = renamed(trained, rename)
    (tmp_path / "page.html").write_text(optimize_page(result), encoding="utf-8")
    chrome.get((tmp_path / "page.html").as_uri())
    rows = chrome.find_elements("css selector", "#layers tbody tr")
    assert len(rows) == len(trained.layers)
    assert len(chrome.find_elements("css selector", "#curves svg[role=img]")) == len(result.curves)
    assert chrome.execute_script("return window.broken") is None
    assert chrome.get_log("browser") == []


def test_tables_are_readable_at_1280_pixels(
    trained: OptimizeResult, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    chrome = request.getfixturevalue("browser")
    long = renamed(trained, lambda name: f"/backbone/features/block_1/{name}/branch/Conv_output")
    long = replace(long, layers=tuple(replace(x, op="SimdSparseConvAdd") for x in long.layers))
    (tmp_path / "page.html").write_text(optimize_page(long), encoding="utf-8")
    before = chrome.get_window_size()
    chrome.set_window_size(1280, 900)
    try:
        chrome.get((tmp_path / "page.html").as_uri())
        lines = chrome.execute_script(
            "return [...document.querySelectorAll('#layers tbody tr:first-child td')].map(cell => {"
            "const all = document.createRange(); all.selectNodeContents(cell);"
            "return [cell.className, cell.clientWidth,"
            " new Set([...all.getClientRects()].map(r => Math.round(r.top))).size]})"
        )
        assert {kind for kind, _, _ in lines} == {"number", "name short", "name long"}
        for kind, width, count in lines:
            assert count <= (3 if kind == "name long" else 1)
            assert width >= 150 or kind != "name long"
        # The page itself does not scroll sideways.
        wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert chrome.execute_script(wide) == 0
    finally:
        chrome.set_window_size(**before)


def test_a_missed_budget_cannot_be_overlooked(trained: OptimizeResult) -> None:
    missed = replace(trained, status="missed", message="budget missed: by far")
    assert re.search(r'class="warning"[^>]*>budget missed: by far<', optimize_page(missed))
    assert 'class="warning"' not in optimize_page(replace(missed, status="met"))


@pytest.mark.parametrize("named", [False, True])
def test_a_dry_run_writes_its_page_and_nothing_else(
    named: bool, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / ("mine.html" if named else "net-simd-95%.report.html")
    command = ["optimize", str(network), "--budget", "95%", "--dry-run", *QUICK_FLAGS, "--report"]
    assert main([*command, *([str(page)] if named else [])]) in (0, 1)
    assert list(tmp_path.iterdir()) == [page]
    assert "layers" in titles(check(page.read_text()))


def test_a_model_within_its_budget(network: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "small.onnx"
    output.parent.mkdir()
    command = ["optimize", str(network), "--budget", "10s", "-o", str(output), *QUICK_FLAGS]
    assert main([*command, "--report"]) == 0
    names = sorted(path.name for path in output.parent.iterdir())
    assert names == ["small.onnx", "small.report.html"]
    found = check((output.parent / "small.report.html").read_text())
    assert "nothing to do" in found.text
    assert "curves" in titles(found)


def test_outputs_in_one_folder_have_pages_of_their_own(network: Path, tmp_path: Path) -> None:
    for name in ("a.onnx", "b.v2.onnx"):
        command = ["optimize", str(network), "--budget", "10s", "-o", str(tmp_path / name)]
        assert main([*command, *QUICK_FLAGS, "--report"]) == 0
    pages = {path.name for path in tmp_path.glob("*.html")}
    assert pages == {"a.report.html", "b.v2.report.html"}


def test_a_page_in_place_of_another_file_is_refused(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = network.read_bytes()
    for page in (network, tmp_path / "out.onnx", tmp_path / "nowhere" / "page.html"):
        command = ["optimize", str(network), "--budget", "90%", "-o", str(tmp_path / "out.onnx")]
        assert main([*command, "--report", str(page)]) == 2
        assert f"cannot write {page}" in capsys.readouterr().err
    assert network.read_bytes() == before
    assert list(tmp_path.iterdir()) == []


def test_the_page_of_a_sweep() -> None:
    lost = SweepPoint("channel", "1%", "unreachable", "the budget cannot be reached: <1 ms")
    found = check(sweep_page(swept(point("80%", 0.8, 88.25), point("40%", 0.4, 80.5), lost)))
    assert "channel at 1%: the budget cannot be reached: <1 ms" in found.text
    for text in ("88.25", "80.50", "1.25x", "2.50x", "unreachable"):
        assert text in found.text
    tips = list(found.values("data-tip"))
    assert "simd · 80%\nlatency (% of dense): 80\naccuracy (%): 88.25" in tips
    # One line joins what nothing beats, the dense model at its end.
    assert found.text.count("frontier") >= 2
    assert not any(tip.startswith("channel") for tip in tips)  # it has no points
    assert "dense\nlatency (% of dense): 100\naccuracy (%): 90" in tips
    # Without accuracies there is nothing to draw.
    assert charts(check(sweep_page(swept(point("80%", 0.8, None), accuracy=None)))) == []
