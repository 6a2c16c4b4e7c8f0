"""Data sources: what they read, how it is preprocessed, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

Image = pytest.importorskip("PIL.Image")

from onnx import helper  # noqa: E402
from train_models import classifier, patterns, save  # noqa: E402

from alcs_onnx.errors import AlcsError, DataError  # noqa: E402
from alcs_onnx.graph import Model, load_model  # noqa: E402
from alcs_onnx.train import (  # noqa: E402
    Augment,
    DataOptions,
    Preprocess,
    TrainConfig,
    evaluate,
    load_data,
    mean_gradients,
)
from alcs_onnx.train.data.split import held_out  # noqa: E402

CLASSES = ("ant", "bee", "cat", "dog")


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return classifier(tmp_path)


def write_npz(folder: Path, **arrays: Any) -> str:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return str(path)


def write_folder(
    root: Path, split: str, count: int = 3, size: tuple[int, int] = (8, 8), mode: str = "RGB"
) -> None:
    for label, name in enumerate(CLASSES):
        folder = root / split / name
        folder.mkdir(parents=True)
        for index in range(count):
            color = 40 * label + index
            fill = (color, 10, 200) if mode == "RGB" else color
            Image.new(mode, size, fill).save(folder / f"{index}.png")


def everything(samples: Any, **kw: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    batches = list(samples.batches(4, training=False, **kw))
    inputs = torch.cat([b.inputs[0] for b in batches])
    return inputs, None if batches[0].targets is None else torch.cat([b.targets for b in batches])


# --- npz ---------------------------------------------------------------------------------


def test_npz_with_split(model: Model, tmp_path: Path) -> None:
    train, test = patterns(10), patterns(6, seed=1)
    spec = write_npz(
        tmp_path, x_train=train["x"], y_train=train["y"], x_test=test["x"], y_test=test["y"]
    )
    data = load_data(spec, model)
    images, labels = everything(data.train)
    torch.testing.assert_close(images, torch.from_numpy(train["x"]).float() / 255)
    assert labels is not None
    assert labels.tolist() == train["y"].tolist()
    assert len(everything(data.test)[0]) == 6


def test_npz_without_split_is_split_by_the_seed(model: Model, tmp_path: Path) -> None:
    found = patterns(100)
    spec = write_npz(tmp_path, x=found["x"], y=found["y"][:, None])

    def test_images(seed: int) -> torch.Tensor:
        options = DataOptions(seed=seed, test_share=0.2)
        data = load_data(spec, model, options)
        both = torch.cat([everything(data.train)[0], everything(data.test)[0]])
        assert len(both) == 100
        assert len(torch.unique(both, dim=0)) == 100
        return everything(data.test)[0]

    assert torch.equal(test_images(1), test_images(1))
    assert not torch.equal(test_images(1), test_images(2))
    assert len(test_images(1)) == pytest.approx(20, abs=2)


def test_held_out_takes_its_share_of_every_class() -> None:
    labels = np.repeat(np.arange(3), [50, 100, 10])
    mask = held_out(160, labels, seed=0, share=0.1)
    assert [int(mask[labels == c].sum()) for c in range(3)] == [5, 10, 1]
    assert held_out(3, None, seed=0, share=0.01).sum() == 1


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("nhwc_model", [False, True])
def test_npz_layouts_reach_the_model_alike(layout: str, nhwc_model: bool, tmp_path: Path) -> None:
    model = classifier(tmp_path, nhwc=nhwc_model)
    x = patterns(4)["x"]
    spec = write_npz(tmp_path, x_train=x if layout == "NCHW" else x.transpose(0, 2, 3, 1))
    images = next(iter(load_data(spec, model).train.batches(4, training=False))).inputs[0]
    expected = x.transpose(0, 2, 3, 1) if nhwc_model else x
    if len(images) == 4:
        np.testing.assert_allclose(images.numpy(), expected / np.float32(255), rtol=1e-6)
    assert images.shape[1:] == expected.shape[1:]


def test_npz_grey_images_without_a_channel_axis(tmp_path: Path) -> None:
    model = classifier(tmp_path, channels=1)
    x = patterns(4)["x"][:, 0]
    data = load_data(write_npz(tmp_path, x_train=x, x_test=x, y_test=np.zeros(4, int)), model)
    assert everything(data.test)[0].shape == (4, 1, 8, 8)


def test_npz_floats_are_not_scaled(model: Model, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((3, 3, 8, 8))
    data = load_data(write_npz(tmp_path, x_train=x, x_test=x), model)
    np.testing.assert_allclose(everything(data.test)[0].numpy(), x.astype(np.float32))


X = patterns(4)["x"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X[:, :, :7]}, r"x: expected images \[N, 3, 8, 8\] or .*, found \[4, 3, 7, 8\]"),
        ({"x": X[0]}, r"expected images .*, found \[3, 8, 8\]"),
        ({"x": X[:0]}, "x: no samples"),
        ({"x": X.astype(str)}, "is not numeric"),
        ({"x": np.where(X > 250, np.nan, X)}, r"x: sample \d contains NaN"),
        ({"x": X, "y": np.array([0, 1, 4, 2])}, r"y: label 4 of sample 2 .* 4 classes \(0 to 3\)"),
        ({"x": X, "y": np.array([0, -1, 3, 2])}, r"y: label -1 of sample 1 is out of range"),
        ({"x": X, "y": np.arange(3)}, r"y: expected 4 labels, one per sample, found shape \[3\]"),
        ({"x": X, "y": np.array([0.5, 1, 1, 1])}, "labels must be integers, found float64"),
        ({"x": X, "y": np.array(list("abcd"))}, "labels must be integers"),
        ({"images": X}, "has neither x_train nor x, found images"),
    ],
)
def test_npz_refusals(arrays: dict[str, Any], message: str, model: Model, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load_data(write_npz(tmp_path, **arrays), model)


def test_npz_that_is_none(model: Model, tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"not a zip")
    with pytest.raises(DataError, match=r"bad\.npz' cannot be read"):
        load_data(str(tmp_path / "bad.npz"), model)
    with pytest.raises(DataError, match="does not exist"):
        load_data(str(tmp_path / "missing.npz"), model)
    with pytest.raises(DataError, match="'nowhere' not found"):
        load_data("nowhere", model)


def test_models_without_one_image_input(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["a", "k"], ["c"]),
        helper.make_node("Add", ["c", "b"], ["y"]),
    ]
    shapes = {"a": (1, 3, 4, 4), "b": (1, 2, 4, 4)}
    weights = {"k": np.ones((2, 3, 1, 1), np.float32)}
    model = load_model(save(tmp_path / "two.onnx", nodes, shapes, ["y"], weights))
    with pytest.raises(DataError, match=r"one input of rank 4, this one has 'a' .*, 'b' "):
        load_data(write_npz(tmp_path, x=X), model)


# --- folders -----------------------------------------------------------------------------


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("name", ["test", "val", "validation"])
def test_folder(cached: bool, name: str, model: Model, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_folder(root, "train")
    write_folder(root, name, count=2)
    data = load_data(str(root), model, DataOptions(cache_bytes=1 << 30 if cached else 0))
    assert data.classes == CLASSES
    images, labels = everything(data.test)
    assert labels is not None
    assert labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (images[3] * 255).round()[:, 0, 0].tolist() == [41, 10, 200]
    assert len(everything(data.train)[0]) == 12


def test_folder_without_train_is_split(model: Model, tmp_path: Path) -> None:
    write_folder(tmp_path, "data", count=10)
    data = load_data(str(tmp_path / "data"), model)
    assert sorted(everything(data.test)[1].tolist()) == [0, 1, 2, 3]
    assert len(everything(data.train)[0]) == 36


def test_folder_of_images_has_no_labels(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    for index in range(10):
        Image.new("L", (8, 8), index).save(folder / f"{index}.png")
    data = load_data(str(folder), model)
    assert not data.train.labelled
    assert data.test is not None
    assert evaluate(model, data).kind == "agreement"


def test_images_are_resized_and_centre_cropped(model: Model, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_folder(root, "train", size=(40, 20))
    bars = np.zeros((20, 40, 3), np.uint8)
    bars[:, 15:25] = 255
    Image.fromarray(bars).save(root / "train" / "ant" / "0.png")
    data = load_data(str(root), model, DataOptions(crop_fraction=1.0))
    pixels = next(iter(data.train.batches(12, training=False))).inputs[0]
    assert pixels.shape[1:] == (3, 8, 8)
    store = everything(data.train)[0]
    bar = next(image for image in store if image.max() > 0.9 and image[0].std() > 0.1)
    columns = bar[0].mean(0)
    assert columns[0] < 0.1
    assert columns[3] > 0.9
    torch.testing.assert_close(columns, columns.flip(0), atol=0.02, rtol=0)


def test_grey_models_take_grey_images(tmp_path: Path) -> None:
    model = classifier(tmp_path, channels=1)
    root = tmp_path / "data"
    write_folder(root, "train")
    write_folder(root, "test")
    assert everything(load_data(str(root), model).test)[0].shape == (12, 1, 8, 8)


def test_folder_refusals(model: Model, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_folder(root, "test")
    with pytest.raises(DataError, match="has 'test' but no 'train'"):
        load_data(str(root), model)
    write_folder(root, "train")
    (root / "test" / "eel").mkdir()
    Image.new("RGB", (8, 8)).save(root / "test" / "eel" / "0.png")
    with pytest.raises(DataError, match=r"class 'eel' of .*test' has no training images"):
        load_data(str(root), model)
    (root / "train" / "eel").mkdir()
    with pytest.raises(DataError, match="has 5 classes, the model only 4"):
        load_data(str(root), model)


def test_empty_class_folder(model: Model, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_folder(root, "train")
    for image in (root / "train" / "bee").iterdir():
        image.unlink()
    with pytest.raises(DataError, match=r"class folder '.*bee' holds no images"):
        load_data(str(root), model)


def test_empty_folder(model: Model, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds neither images nor class folders"):
        load_data(str(tmp_path / "none"), model)


@pytest.mark.parametrize("cached", [True, False])
def test_unreadable_image_is_named(cached: bool, model: Model, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_folder(root, "train")
    (root / "train" / "cat" / "1.png").write_bytes(b"\x89PNG broken")
    options = DataOptions(cache_bytes=1 << 30 if cached else 0)
    with pytest.raises(DataError, match=r"image '.*cat/1\.png' cannot be read"):
        for _ in load_data(str(root), model, options).train.batches(99, training=False):
            pass


def test_fewer_classes_than_outputs_are_noted(tmp_path: Path) -> None:
    model = classifier(tmp_path, classes=6)
    write_folder(tmp_path / "data", "train")
    (note,) = load_data(str(tmp_path / "data"), model).notes
    assert "4 classes, the model 6" in note


# --- module:function ---------------------------------------------------------------------

MODULE = """
import numpy as np, torch
rng = np.random.default_rng(0)
X = rng.standard_normal((12, 3, 8, 8)).astype("float32")
Y = rng.integers(0, 4, 12)
LOADER = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), 4, shuffle=True)
def loaders(): return LOADER, [(X[:4], Y[:4])]
def full():
    return {"train": LOADER, "test": LOADER, "loss": lambda out, y: (out ** 2).mean(),
            "metric": lambda out, y: 0.25}
def unlabelled(): return [X[:4], X[4:]], [(X[:4], None)]
def named(): return [({"x": X[:4]}, Y[:4])], None
def crash(): raise RuntimeError("no disk")
def nothing(): return [], []
def single(): return iter([(X, Y)]), None
def number(): return 3
def wrong_shape(): return [(X[:, :2], Y)], None
def nan(): return [(X * np.nan, Y)], None
def bad_label(): return [(X, Y + 2)], None
def bad_key(): return {"training": LOADER}
def float_targets(): return [(X, X[:, 0])], [(X, X[:, 0])]
def missing_input(): return [({"z": X}, Y)], None
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"user_data_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_function_gives_loaders(module: str, model: Model) -> None:
    data = load_data(f"{module}:loaders", model)
    first, again, other = (
        torch.cat([b.targets for b in data.train.batches(1, training=True, seed=s)])
        for s in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert data.train.batch_count(1, training=True) == 3
    assert evaluate(model, data).samples == 4


def test_function_gives_loss_and_metric(module: str, model: Model) -> None:
    result = evaluate(model, load_data(f"{module}:full", model))
    assert (result.kind, result.value, result.samples) == ("metric", 0.25, 12)


def test_function_without_labels_agrees_with_itself(module: str, model: Model) -> None:
    result = evaluate(model, load_data(f"{module}:unlabelled", model))
    assert (result.kind, result.value, result.samples) == ("agreement", 1.0, 4)


def test_function_inputs_by_name(module: str, model: Model) -> None:
    data = load_data(f"{module}:named", model)
    assert next(iter(data.train.batches(1, training=True))).inputs[0].shape == (4, 3, 8, 8)
    with pytest.raises(DataError, match="no test samples"):
        evaluate(model, data)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("crash", "failed: RuntimeError: no disk"),
        ("absent", "failed: AttributeError"),
        ("nothing", "train has no batches"),
        ("single", "can be read only once"),
        ("number", r"must return \(train, test\)"),
        ("bad_key", "unknown key 'training', expected train, test, loss, metric"),
        (
            "wrong_shape",
            r"train, batch 0: expected input 'x' \[N, 3, 8, 8\], found \[12, 2, 8, 8\]",
        ),
        ("nan", "input 'x' contains NaN"),
        ("bad_label", r"label \d of sample \d+ .* 4 classes"),
        ("float_targets", "expected one integer label per sample"),
        ("missing_input", "no value for model input 'x'"),
    ],
)
def test_function_refusals(function: str, message: str, module: str, model: Model) -> None:
    def use() -> None:
        data = load_data(f"{module}:{function}", model)
        mean_gradients(model, data)

    with pytest.raises(DataError, match=message):
        use()


def test_module_that_is_missing(model: Model) -> None:
    with pytest.raises(DataError, match="ModuleNotFoundError"):
        load_data("no_such_module_here:f", model)


# --- preprocessing -----------------------------------------------------------------------


def test_preprocessing_arithmetic() -> None:
    given = Preprocess.parse("scale=1/255, mean=0.5:0.25:0, std=0.5:0.25:2")
    pixels = torch.randint(256, (2, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    expected = (pixels / 255 - torch.tensor([0.5, 0.25, 0]).reshape(1, 3, 1, 1)) / torch.tensor(
        [0.5, 0.25, 2]
    ).reshape(1, 3, 1, 1)
    torch.testing.assert_close(given.apply(pixels.to(torch.uint8)), expected, atol=1e-6, rtol=0)


def test_presets() -> None:
    assert Preprocess.parse("none") == Preprocess()
    assert Preprocess.parse("imagenet").mean == (0.485, 0.456, 0.406)
    pixels = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    torch.testing.assert_close(Preprocess.parse("tf").apply(pixels), torch.full((1, 3, 1, 1), 1.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mena=1", "'mena=1' is not understood"),
        ("mean=a", "'a' in the preprocessing is not a number"),
        ("std=0", "std and scale not zero"),
        ("scale=1/0", "is not a number"),
        ("layout=CHW", "layout 'CHW' is not one of"),
    ],
)
def test_preprocessing_refusals(text: str, message: str) -> None:
    with pytest.raises(AlcsError, match=message):
        Preprocess.parse(text)


def test_channel_count_of_the_mean(model: Model, tmp_path: Path) -> None:
    options = DataOptions(preprocess=Preprocess(mean=(0.1, 0.2)))
    with pytest.raises(AlcsError, match="2 values of mean, the model's input has 3 channels"):
        load_data(write_npz(tmp_path, x=X), model, options)


def test_augmentation_flips_and_shifts_each_image_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    batch = image.expand(200, 1, 8, 8)
    flipped = Augment(flip=True).apply(batch, generator)
    same = (flipped == image).flatten(1).all(1)
    mirrored = (flipped == image.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 60 < int(same.sum()) < 140
    cropped = Augment(crop=2).apply(batch + 1, generator)
    padded = torch.nn.functional.pad(image + 1, [2] * 4)
    windows = padded.unfold(2, 8, 1).unfold(3, 8, 1).reshape(25, 64)
    found = {int((windows == c.flatten()).all(1).nonzero()) for c in cropped}
    assert len(found) == 25


def test_augmentation_is_parsed() -> None:
    assert Augment.parse("flip,crop=4") == Augment(True, 4)
    assert Augment.parse("none") == Augment()
    with pytest.raises(AlcsError, match="'rotate' is not understood"):
        Augment.parse("flip,rotate")


def test_training_passes_repeat_with_their_seed(model: Model, tmp_path: Path) -> None:
    found = patterns(40)
    options = DataOptions(augment=Augment(flip=True, crop=2))
    train = load_data(write_npz(tmp_path, **found), model, options).train

    def one_pass(seed: int) -> torch.Tensor:
        return torch.cat([b.inputs[0] for b in train.batches(8, training=True, seed=seed)])

    assert torch.equal(one_pass(3), one_pass(3))
    assert not torch.equal(one_pass(3), one_pass(4))


def test_a_small_rest_is_left_out_of_training(model: Model, tmp_path: Path) -> None:
    found = patterns(45)
    test = patterns(5)
    spec = write_npz(
        tmp_path, x_train=found["x"], y_train=found["y"], x_test=test["x"], y_test=test["y"]
    )
    train = load_data(spec, model).train
    assert [b.size for b in train.batches(20, training=True)] == [20, 20]
    assert [b.size for b in train.batches(17, training=True)] == [17, 17, 11]
    assert [b.size for b in train.batches(20, training=False)] == [20, 20, 5]
    assert [b.size for b in train.batches(64, training=True)] == [45]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rho": 0}, "rho must be positive"), ({"lr": float("nan")}, "lr must be positive"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\)"),
        ({"distill": 2}, r"distill must be in"), ({"admm_epochs": -1}, "must not be negative"),
        ({"dual_init": "one"}, "'one' is not one of paper, scaled, zero"),
        ({"nesterov": True, "momentum": 0}, "nesterov needs a momentum"),
        ({"batch_size": 0}, "batch_size must be positive"),
    ],
)  # fmt: skip
def test_settings_refusals(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AlcsError, match=message):
        TrainConfig(**changes)


# --- inputs beside the data --------------------------------------------------------------


@pytest.fixture
def thresholded(tmp_path: Path) -> Model:
    """An image of an open batch, a scalar, and a row for each sample."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "threshold"], ["b"]),
        helper.make_node("Flatten", ["b"], ["f"]),
        helper.make_node("Concat", ["f", "side"], ["y"], axis=1),
    ]
    weights = {"w": np.ones((1, 3, 8, 8), np.float32)}
    inputs = {"threshold": (), "x": ("N", 3, 8, 8), "side": ("N", 2)}
    return load_model(save(tmp_path / "m.onnx", nodes, inputs, ["y"], weights))


GIVEN = {"threshold": np.array(0.5, np.float32), "side": np.array([[1, 2]], np.float32)}


@pytest.mark.parametrize("kind", ["npz", "folder"])
def test_given_inputs_are_repeated_for_every_batch(
    kind: str, thresholded: Model, tmp_path: Path
) -> None:
    if kind == "npz":
        spec = write_npz(tmp_path, x_train=patterns(10)["x"], x_test=patterns(6)["x"])
    else:
        spec = str(tmp_path / "images")
        (tmp_path / "images").mkdir()
        for index in range(10):
            Image.new("RGB", (8, 8)).save(tmp_path / "images" / f"{index}.png")
    data = load_data(spec, thresholded, DataOptions(values=GIVEN))
    for batch in data.train.batches(4, training=True):
        threshold, images, side = batch.inputs
        assert threshold.shape == ()
        assert float(threshold) == 0.5
        assert images.shape == (batch.size, 3, 8, 8)
        assert side.tolist() == [[1, 2]] * batch.size


def test_an_input_without_values_is_named(thresholded: Model, tmp_path: Path) -> None:
    spec = write_npz(tmp_path, x_train=patterns(4)["x"])
    with pytest.raises(DataError, match=r"'side'.*--input-values side:1, or .*module:function"):
        load_data(spec, thresholded, DataOptions(values={"threshold": GIVEN["threshold"]}))


GIVING = """
import torch
ALL = {"x": torch.zeros(3, 3, 8, 8), "threshold": 2.0, "side": torch.ones(3, 2)}
def some(*names): return ([{name: ALL[name] for name in names}],)
def everything(): return some(*ALL)
def no_side(): return some("x", "threshold")
def images(): return ([ALL["x"]],)
def unequal(): return ([{**ALL, "side": torch.ones(2, 2)}],)
def misshapen(): return ([{**ALL, "threshold": torch.ones(3)}],)
"""


@pytest.fixture
def giving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "giving.py").write_text(GIVING)
    monkeypatch.syspath_prepend(tmp_path)
    return "giving"


@pytest.mark.parametrize(
    ("function", "left_out", "threshold"),
    [("everything", [], 2.0), ("no_side", ["side"], 2.0), ("images", ["side", "threshold"], 0.5)],
)
def test_a_loader_may_leave_out_what_is_given(
    function: str, left_out: list[str], threshold: float, giving: str, thresholded: Model
) -> None:
    options = DataOptions(values={name: GIVEN[name] for name in left_out})
    data = load_data(f"{giving}:{function}", thresholded, options)
    (batch,) = data.train.batches(8, training=True)
    assert batch.size == 3
    assert [tuple(x.shape) for x in batch.inputs] == [(), (3, 3, 8, 8), (3, 2)]
    assert float(batch.inputs[0]) == threshold
    assert batch.inputs[2].tolist() == ([[1, 2]] if "side" in left_out else [[1, 1]]) * 3


@pytest.mark.parametrize(
    ("function", "message"),
    [("unequal", "different numbers of samples: 3 of input 'x', 2 of input 'side'"),
     ("misshapen", r"expected input 'threshold' \[\], found \[3\]"),
     ("no_side", "no value for model input 'side'"),
     ("images", "the model has 3 inputs, found 1")],
)  # fmt: skip
def test_what_a_loader_gives_has_to_fit(
    function: str, message: str, giving: str, thresholded: Model
) -> None:
    data = load_data(f"{giving}:{function}", thresholded)
    with pytest.raises(DataError, match=message):
        list(data.train.batches(8, training=True))
