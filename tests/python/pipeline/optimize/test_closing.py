"""Distillation of the whole network after its layers were refitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from proportional_groups import groups, opened
from reporters import Recorder
from small_models import undecided_net

from alcs_onnx import train
from alcs_onnx.cli import main
from alcs_onnx.data import runtime_batches
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import loadable, model_macs
from alcs_onnx.pipeline.common.training import Network
from alcs_onnx.pipeline.optimize import closing
from alcs_onnx.pipeline.optimize.channels import open_channels
from alcs_onnx.pipeline.optimize.closing import closed
from alcs_onnx.pipeline.optimize.groups import GroupPruning
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.types import PruningPlan

pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return undecided_net(tmp_path_factory.mktemp("model"))


def refitted(
    files: tuple[Path, Path], **settings
) -> tuple[Run, GroupPruning, PruningPlan, Network]:
    run = opened(files, **settings)
    pruning = groups(run)
    plan, network = pruning.refitted(run, pruning.plan(0.05))
    return run, pruning, plan, network


def notes(run: Run) -> list[str]:
    assert isinstance(run.reporter, Recorder)
    return run.reporter.notes


def parts(run: Run, network: Network) -> float:
    return run.evidence.judge.divergence(loadable(network.pruned))


def test_outputs_come_nearer_and_what_is_removed_stays_so(files: tuple[Path, Path]) -> None:
    run, pruning, plan, network = refitted(files, closing_epochs=10)
    found = closed(run, network)
    assert parts(run, found) < parts(run, network)
    for name, mask in pruning.weight_masks(plan).items():
        assert not found.pruned.initializers[network.prunable[name]][~mask].any()
    assert [record["epoch"] for record in found.history] == list(range(1, 11))
    assert {record["stage"] for record in found.history} == {"closing"}
    assert pruning.rewrite(run, found, plan).check.passed
    assert notes(run)[-1].startswith("10 epochs of distillation: ")


def test_a_network_without_channels_loses_nothing_by_it(files: tuple[Path, Path]) -> None:
    run = opened(files, method="channel", closing_epochs=5)
    pruning = open_channels(run)
    keep = {x.name: np.arange(x.channels) % 8 == 0 for x in pruning.coupling.prunable}
    _, network = pruning.refitted(run, replace(pruning.keeping_all(), keep=keep))
    assert parts(run, closed(run, network)) <= parts(run, network)
    assert notes(run)[-1].startswith("5 epochs of distillation: ")


def test_what_loses_is_not_kept(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "_LEAST_RATE", 3.0)
    monkeypatch.setattr(closing, "_GIVE_UP", None)
    run, _, _, network = refitted(files, closing_epochs=1)
    assert closed(run, network) is network
    assert notes(run)[-1].endswith("; not kept")


def test_epochs_are_as_many_as_do_not_take_long(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _, _, network = refitted(files)
    monkeypatch.setattr(closing, "_MOST", 7)
    monkeypatch.setattr(closing, "_LEAST", 7)
    assert len(closed(run, network).history) in (0, 7)
    assert "7 epochs" in notes(run)[-1]
    monkeypatch.setattr(closing, "_WORK", 1.0)
    told = list(notes(run))
    assert closed(run, network) is network
    assert notes(run) == told


def test_what_an_epoch_takes_counts_activations_beside_products(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _, _, network = refitted(files)
    assert run.evidence.fit is not None
    batches = runtime_batches(run.workload.model, run.evidence.fit)
    macs = model_macs(network.model) * sum(batch.size for batch in batches)
    monkeypatch.setattr(closing, "_PASSES", 1)
    monkeypatch.setattr(closing, "_LEAST", 1)
    monkeypatch.setattr(closing, "_ELEMENT", 1000)
    monkeypatch.setattr(closing, "_WORK", 2.5 * macs)
    told = list(notes(run))
    assert closed(run, network) is network
    assert notes(run) == told
    monkeypatch.setattr(closing, "_ELEMENT", 0)
    closed(run, network)
    assert "2 epochs" in notes(run)[-1]


def test_a_network_that_cannot_be_trained_stays_as_it_is(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args, **settings):
        raise AlcsError("node 'n' cannot be trained")

    run, _, _, network = refitted(files, closing_epochs=3)
    monkeypatch.setattr(train, "verify", refuse)
    assert closed(run, network) is network
    assert notes(run)[-1].endswith("not trained together: node 'n' cannot be trained")


def test_training_that_diverges_ends_at_once(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _, _, network = refitted(files, closing_epochs=20)
    monkeypatch.setattr(closing, "_RATE", 10.0)
    monkeypatch.setattr(closing, "_LEAST_RATE", 10.0)
    assert closed(run, network) is network
    assert "not trained together: training diverged" in notes(run)[-1]
    assert "closing epoch 1," in notes(run)[-1]


def test_the_same_seed_gives_the_same_weights(files: tuple[Path, Path]) -> None:
    run, _, _, network = refitted(files, closing_epochs=2)
    first, second = closed(run, network), closed(run, network)
    for name, array in first.pruned.initializers.items():
        np.testing.assert_array_equal(second.pruned.initializers[name], array)


def test_bad_input(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AlcsError, match="closing epochs must not be negative, got -1"):
        opened(files, closing_epochs=-1)
    flags = ["optimize", str(files[0]), "--budget", "50%", "--dry-run", "--closing-epochs", "3"]
    assert main(flags) == 2
    assert "--closing-epochs has no effect without --calibration" in capsys.readouterr().err
    assert main([*flags, "--calibration", str(files[1]), "--method", "int8"]) == 2
    assert "--closing-epochs has no effect with --method int8" in capsys.readouterr().err
