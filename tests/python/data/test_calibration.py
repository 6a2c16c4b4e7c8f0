"""Pictures to calibrate with: what is chosen, how it is halved, what is told and refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from classifiers import classifier, patterns, save
from data_files import CLASSES, everything, write_folder, write_npz
from onnx import helper
from PIL import Image
from without_torch import python_without_torch

from alcs_onnx import ort
from alcs_onnx.data import (
    DEFAULT_SAMPLES,
    PictureOptions,
    Pictures,
    Preprocess,
    load_data,
    load_pictures,
    runtime_batches,
    training_pictures,
)
from alcs_onnx.errors import AlcsError, DataError
from alcs_onnx.graph import Model, load_model, loadable


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return classifier(tmp_path)


def write_photos(
    folder: Path, count: int, size: tuple[int, int] = (8, 8), mode: str = "RGB", name: str = "p"
) -> Path:
    """Pictures of noise, each of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(name) + size[0])
    for index in range(count):
        pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / f"{name}{index:03}.tiff")
    return folder


def write_classes(root: Path) -> None:
    """Ten pictures of each class, whose first pixel tells the class."""
    write_folder(root.parent, root.name, count=10)
    for path in root.glob("*/*.png"):
        with Image.open(path) as picture:
            picture.putpixel((7, 7), (255, 255, 255))
            picture.save(path)


def rows(pictures: Pictures) -> tuple[set[bytes], set[bytes]]:
    """What pictures the two parts hold."""
    fit, judge = (everything(part)[0] for part in (pictures.fit, pictures.judge))
    return {row.tobytes() for row in fit}, {row.tobytes() for row in judge}


# --- where they come from ----------------------------------------------------------------


def test_a_flat_folder_is_enough(model: Model, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 40)
    (folder / "notes.txt").write_text("no picture")
    found = load_pictures(str(folder), model)
    fit, judge = rows(found)
    assert (len(fit), len(judge)) == (20, 20)
    assert not fit & judge
    assert (found.labelled, found.classes, found.notes) == (False, (), ())
    assert found.source == str(folder)


def test_class_folders_give_labels(model: Model, tmp_path: Path) -> None:
    write_classes(tmp_path / "data")
    (tmp_path / "data" / "empty").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "data" / "beside.png")
    found = load_pictures(str(tmp_path / "data"), model)
    assert found.labelled
    assert found.classes == CLASSES
    for part in (found.fit, found.judge):
        images, labels = everything(part)
        assert labels is not None
        assert np.bincount(labels).tolist() == [5] * 4
        assert ((images[:, 0, 0, 0] * 255).round() // 40 == labels).all()
    assert found.notes[0] == "pictures beside the class folders are not used: 1"


@pytest.mark.parametrize("outputs", [3, 6])
def test_other_classes_than_those_of_the_model_give_none(outputs: int, tmp_path: Path) -> None:
    write_classes(tmp_path / "data")
    found = load_pictures(str(tmp_path / "data"), classifier(tmp_path, classes=outputs))
    assert not found.labelled
    assert f"no labels are read off 4 class folders: the model has {outputs}" in found.notes[0]
    reds = (everything(found.judge)[0][:, 0, 0, 0] * 255).round() // 40
    assert np.bincount(reds.astype(int)).tolist() == [5] * 4


def test_one_folder_within_another_is_no_class(model: Model, tmp_path: Path) -> None:
    write_photos(tmp_path / "data" / "photos", 20)
    found = load_pictures(str(tmp_path / "data"), model)
    assert (found.labelled, found.notes) == (False, ())


@pytest.mark.parametrize(
    ("splits", "used"), [(["train", "test"], "train"), (["val"], "val"), ([], "data")]
)
def test_pictures_are_those_to_train_with_where_there_are_any(
    splits: list[str], used: str, model: Model, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    for split in splits or ["."]:
        write_photos(root / split, 20, name=split.replace(".", "p"))
    found = load_pictures(str(root), model)
    assert Path(found.source).name == used
    assert len(found.fit) + len(found.judge) == 20


@pytest.mark.parametrize("name", ["x", "x_train", "x_test"])
@pytest.mark.parametrize("labelled", [False, True])
def test_npz(name: str, labelled: bool, model: Model, tmp_path: Path) -> None:
    given = patterns(100)
    arrays = {name: given["x"], name.replace("x", "y"): given["y"]}
    spec = write_npz(tmp_path, **(arrays if labelled else {name: given["x"]}), other=np.zeros(3))
    found = load_pictures(spec, model, PictureOptions(Preprocess(mean=(0.5,)), samples=40))
    assert found.source == f"{spec}: {name}"
    assert found.labelled == labelled
    expected = {
        row.tobytes(): label
        for row, label in zip(Preprocess(mean=(0.5,)).apply(given["x"]), given["y"], strict=True)
    }
    for part in (found.fit, found.judge):
        images, labels = everything(part)
        assert len(images) == 20
        told = [expected[image.tobytes()] for image in images]
        assert labels is None or labels.tolist() == told


MODULE = """
import numpy as np
rng = np.random.default_rng(0)
X = rng.standard_normal((40, 3, 8, 8)).astype("float32")
Y = rng.integers(0, 4, 40)
class Loader:
    def __iter__(self):
        for i in range(0, 40, 8): yield X[i:i + 8], Y[i:i + 8]
def array(): return X
def pair(): return X, Y
def named(): return {"x": X}
def named_pair(): return {"x": X}, Y
def train_and_test(): return Loader(), [X[:1]]
def list_of_loaders(): return [Loader(), Loader()]
def mapping(): return {"train": Loader(), "metric": len}
def loader(): return Loader()
def pairs(): return list(Loader())
def arrays(): return [X[:16], X[16:]]
def once(): return (x for x, y in Loader())
def endless():
    while True: yield X[:8]
class Endless:
    def __iter__(self): return endless()
def for_ever(): return Endless(), None
def float_targets(): return [(X, X[:, 0])]
def ragged(): return [(X, [[1]] * 39 + [[1, 2]])]
def bad_label(): return X, Y + 2
def empty(): return []
def text(): return "photos"
def few(): return X[:15]
def nan():
    bad = X.copy()
    bad[7, 1, 2, 3] = np.nan
    return [X[:8], bad]
def crash():
    yield X[:8]
    raise OSError("disk is gone")
def same(): return np.ones((20, 3, 8, 8), "float32") * [[[[.1]], [[.2]], [[.3]]]]
def only_test(): return {"train": None, "test": X}
class Shuffled:
    # In another order in each pass, by a generator of its own.
    rng = np.random.default_rng(3)
    def __iter__(self):
        order = self.rng.permutation(40)
        for i in range(0, 40, 8): yield X[order[i:i + 8]], Y[order[i:i + 8]]
def shuffled(): return Shuffled(), None
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"pictures_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize(
    ("function", "labelled"),
    [
        ("array", False), ("pair", True), ("named", False), ("named_pair", True),
        ("train_and_test", True), ("list_of_loaders", True), ("mapping", True), ("loader", True),
        ("pairs", True), ("arrays", False), ("once", False),
    ],
)  # fmt: skip
def test_functions(function: str, labelled: bool, module: str, model: Model) -> None:
    found = load_pictures(f"{module}:{function}", model)
    fit, judge = rows(found)
    assert (len(fit), len(judge)) == (20, 20)
    assert not fit & judge
    assert found.labelled == labelled
    whole = load_pictures(f"{module}:pair", model)
    if labelled:  # the same choice as of the one batch, with the same labels
        np.testing.assert_array_equal(everything(found.fit)[1], everything(whole.fit)[1])
        np.testing.assert_array_equal(everything(found.fit)[0], everything(whole.fit)[0])


def test_an_endless_loader_is_read_until_it_is_enough(module: str, model: Model) -> None:
    found = load_pictures(f"{module}:endless", model, PictureOptions(samples=20))
    assert (len(found.fit), len(found.judge)) == (10, 10)
    assert found.notes == ()


def test_memory_ends_reading(module: str, model: Model) -> None:
    bytes_of_a_batch = 8 * 3 * 8 * 8 * 4
    options = PictureOptions(cache_bytes=3 * bytes_of_a_batch)
    found = load_pictures(f"{module}:endless", model, options)
    assert len(found.fit) == 12
    assert "only the first 24 samples are used" in found.notes[0]


@pytest.mark.parametrize("function", ["float_targets", "ragged"])
def test_targets_that_are_no_labels_are_left_out(function: str, module: str, model: Model) -> None:
    found = load_pictures(f"{module}:{function}", model)
    assert not found.labelled
    assert "not used" in found.notes[0]


WITHOUT_TORCH = """
from alcs_onnx.data import input_range, load_pictures
from alcs_onnx.graph import load_model
model = load_model(sys.argv[1])
for spec in sys.argv[2:]:
    print(len(load_pictures(spec, model).fit), end=" ")
    input_range(load_pictures(spec, model).judge)
"""


def test_torch_is_not_needed(module: str, model: Model, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 16)
    specs = [str(folder), write_npz(tmp_path, x=patterns(18)["x"]), f"{module}:pairs"]
    done = python_without_torch(WITHOUT_TORCH, tmp_path / "classifier.onnx", *specs)
    assert done.stdout.split() == ["8", "9", "20"], done.stderr


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_loaders_of_torch(kind: str, model: Model, tmp_path: Path, module: str) -> None:
    pytest.importorskip("torch")
    (tmp_path / f"{module}_{kind}.py").write_text(
        "import torch\n"
        "X = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))\n"
        f"DATA = torch.utils.data.TensorDataset(X.to(torch.{kind}), torch.arange(40) % 4)\n"
        "def loader(): return torch.utils.data.DataLoader(DATA, 4, shuffle=True)\n"
    )
    found, again = (load_pictures(f"{module}_{kind}:loader", model) for _ in range(2))
    fit, labels = everything(found.fit)
    assert fit.dtype == np.float32
    assert labels is not None
    assert np.bincount(labels).tolist() == [5] * 4
    np.testing.assert_array_equal(fit, everything(again.fit)[0])


# --- several inputs, any batch -----------------------------------------------------------

SEVERAL = """
import numpy as np
X = np.random.default_rng(0).standard_normal((20, 3, 8, 8)).astype("float32")
SIDE = np.arange(40.0).reshape(20, 2)
def batches(): return [
    {"x": X[i:i + 5], "side": SIDE[i:i + 5], "threshold": 2.0} for i in range(0, 20, 5)]
def no_side(): return [{"x": X, "threshold": 2.0}]
def changing(): return [{"x": X[i:i + 5], "side": SIDE[i:i + 5], "threshold": i} for i in (0, 5)]
def with_targets(): return [({"x": X, "side": SIDE, "threshold": 2.0}, X[:, :1])]
"""


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "several_inputs.py").write_text(SEVERAL)
    monkeypatch.syspath_prepend(tmp_path)
    return "several_inputs"


def two_inputs(folder: Path, batch: int | str) -> Model:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "threshold"], ["y"]),
        helper.make_node("Neg", ["side"], ["z"]),
    ]
    inputs = {"threshold": (), "x": (batch, 3, 8, 8), "side": (batch, 2)}
    weights = {"w": np.ones((1, 3, 8, 8), np.float32)}
    return load_model(save(folder / "two.onnx", nodes, inputs, ["y", "z"], weights))


@pytest.mark.parametrize("batch", ["N", 1, 4])
@pytest.mark.parametrize("function", ["batches", "no_side"])
def test_several_inputs_at_the_batch_of_the_model(
    batch: int | str, function: str, several: str, tmp_path: Path
) -> None:
    model = two_inputs(tmp_path, batch)
    values = {"side": np.ones((1, 2), np.float32)} if function == "no_side" else {}
    found = load_pictures(f"{several}:{function}", model, PictureOptions(values=values))
    session = ort.create_session(loadable(model))
    sides = []
    for part in (found.fit, found.judge):
        for fed in runtime_batches(model, part):
            y, z = (fed.without_padding(output) for output in session.run(fed.feeds))
            sides += z[:, 0].tolist()
            images = fed.without_padding(fed.feeds["x"])
            np.testing.assert_allclose(y.ravel(), images.sum((1, 2, 3)) + 2, atol=1e-4)
    expected = [-1.0] * 20 if function == "no_side" else (-np.arange(0, 40, 2)).tolist()
    assert sorted(sides) == sorted(expected)


def test_what_counts_no_samples_stays_the_same(several: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'threshold' counts no samples and has to be the same"):
        load_pictures(f"{several}:changing", two_inputs(tmp_path, "N"))


def test_targets_of_a_model_without_classes(several: str, tmp_path: Path) -> None:
    found = load_pictures(f"{several}:with_targets", two_inputs(tmp_path, "N"))
    assert found.labelled
    assert found.fit.labels is None
    (batch,) = found.fit.batches(32, training=False)
    np.testing.assert_array_equal(batch.targets, batch.inputs[1][:, :1])


# --- the choice --------------------------------------------------------------------------


def test_the_choice_and_the_split_are_those_of_the_seed(model: Model, tmp_path: Path) -> None:
    spec = write_npz(tmp_path, **patterns(200))

    def parts(seed: int) -> tuple[bytes, bytes]:
        found = load_pictures(spec, model, PictureOptions(samples=50, seed=seed))
        fit, judge = everything(found.fit)[0], everything(found.judge)[0]
        assert (len(fit), len(judge)) == (25, 25)
        return fit.tobytes(), judge.tobytes()

    assert parts(3) == parts(3)
    assert not set(parts(3)) & set(parts(4))


def test_both_parts_have_their_share_of_each_class(model: Model, tmp_path: Path) -> None:
    """Files are sorted by class, and the classes are of different sizes."""
    given = patterns(200)
    labels = np.repeat(np.arange(4), [20, 40, 60, 80])
    found = load_pictures(
        write_npz(tmp_path, x=given["x"], y=labels), model, PictureOptions(samples=100)
    )
    for part in (found.fit, found.judge):
        _, chosen = everything(part)
        assert chosen is not None
        assert (abs(np.bincount(chosen) - np.array([5, 10, 15, 20])) <= 1).all()
        assert len(set(chosen[:8].tolist())) > 2  # and so has every beginning


def test_as_many_as_are_usual_are_used(tmp_path: Path, model: Model) -> None:
    spec = write_npz(tmp_path, **patterns(DEFAULT_SAMPLES + 100))
    found = load_pictures(spec, model)
    assert len(found.fit) + len(found.judge) == DEFAULT_SAMPLES
    found = load_pictures(spec, model, PictureOptions(samples=10**6))
    assert len(found.fit) + len(found.judge) == DEFAULT_SAMPLES + 100


@pytest.mark.parametrize("cached", [True, False])
def test_pictures_that_do_not_fit_the_memory(cached: bool, model: Model, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 20, size=(16, 12))
    options = PictureOptions()
    plain = load_pictures(str(folder), model, options)
    found = load_pictures(
        str(folder), model, replace(options, cache_bytes=1 << 30 if cached else 0)
    )
    assert rows(found) == rows(plain)
    assert found.notes == plain.notes


def test_files_of_the_same_content_may_be_in_both_parts(model: Model, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 10)
    for path in list(folder.iterdir()):
        (folder / f"again{path.name}").write_bytes(path.read_bytes())
    found = load_pictures(str(folder), model)
    assert (len(found.fit), len(found.judge)) == (10, 10)


# --- what is told ------------------------------------------------------------------------


def test_other_sizes_and_modes_are_told(model: Model, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 10)
    for number, size in enumerate([(20, 10), (20, 10), (9, 8), (10, 8), (11, 8)]):
        write_photos(folder, 1, size=size, name=f"size{number}-")
    for mode in ("L", "L", "RGBA", "CMYK", "P"):
        write_photos(folder, 1 + (mode == "L"), mode=mode, name=mode)
    resized, converted = load_pictures(str(folder), model).notes
    told, _, sizes = resized.partition(": from ")
    assert told == "5 of 20 pictures are resized and cropped to 8x8"
    assert sizes.startswith("20x10 (2), ")
    assert sizes.endswith(" and 1 other size")
    assert converted.startswith("5 of 20 pictures are converted to RGB: grey (2), ")
    grey = classifier(tmp_path, channels=1)
    *_, converted = load_pictures(str(folder), grey).notes
    assert converted.startswith("18 of 20 pictures are converted to grey: RGB (15)")


def test_animated_pictures_are_told(model: Model, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 19)
    frames = [Image.new("RGB", (8, 8), (index * 60, 0, 0)) for index in range(4)]
    frames[0].putpixel((0, 0), (255, 255, 255))
    frames[0].save(folder / "moving.png", save_all=True, append_images=frames[1:])
    (note,) = load_pictures(str(folder), model).notes
    assert note.startswith("1 of 20 pictures is animated, and the first frame taken: ")
    assert "moving.png" in note


def test_pictures_of_one_colour_are_told(model: Model, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 18)
    for name in ("black", "blue"):
        Image.new("RGB", (8, 8), name).save(folder / f"{name}.png")
    (note,) = load_pictures(str(folder), model).notes
    assert note.startswith("2 of 20 pictures are of one colour throughout: ")
    assert note.endswith(
        (f"{folder / 'black.png'} and others", f"{folder / 'blue.png'} and others")
    )


def test_samples_of_one_colour_are_told(model: Model, tmp_path: Path) -> None:
    images = patterns(20)["x"]
    images[7] = np.array([1, 2, 3])[:, None, None]
    (note,) = load_pictures(write_npz(tmp_path, x=images), model).notes
    assert f"1 of 20 pictures is of one colour throughout: sample 7 of {tmp_path}" in note


def test_rows_of_one_colour_make_no_picture_of_one(tmp_path: Path) -> None:
    """In either layout."""
    model = classifier(tmp_path, channels=1, nhwc=True)
    stripes = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None, None], (20, 8, 8, 1))
    (tmp_path / "stripes.py").write_text("def one_by_one(): return IMAGES\nIMAGES = None\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        import stripes as module  # type: ignore[import-not-found]

        patch.setattr(module, "IMAGES", stripes)
        assert load_pictures("stripes:one_by_one", model).notes == ()
        patch.setattr(module, "IMAGES", stripes * 0)
        with pytest.raises(DataError, match="all 20 pictures are of one colour"):
            load_pictures("stripes:one_by_one", model)


# --- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("bad_label", r"label \d of sample \d+ is out of range, the model has 4 classes"),
        ("empty", "has no batches"),
        ("text", "str is not iterable"),
        ("few", "15 pictures are too few: at least 16 are needed, half of them to fit on"),
        ("nan", "batch 1: sample 7 of input 'x' contains NaN or infinity"),
        ("crash", "failed: OSError: disk is gone"),
        ("same", "all 20 pictures are of one colour"),
        ("only_test", "gives no training batches"),
    ],
)
def test_functions_that_are_refused(function: str, message: str, module: str, model: Model) -> None:
    with pytest.raises(DataError, match=message):
        load_pictures(f"{module}:{function}", model)


X = patterns(20)["x"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X[:15]}, "x: 15 pictures are too few: at least 16"),
        ({"images": X}, "has no pictures: x, x_train or x_test, found images"),
        ({"x": X[:, :, :7]}, r"expected images \[N, 3, 8, 8\]"),
        ({"x": np.where(np.arange(20)[:, None, None, None] == 4, np.inf, X)}, "sample 4 contains"),
        ({"x": X * 0}, "all 20 pictures are of one colour: they tell nothing"),
        ({"x": X, "y": np.arange(20)}, "label 4 of sample 4 is out of range"),
    ],
)
def test_npz_refusals(arrays: dict[str, Any], message: str, model: Model, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load_pictures(write_npz(tmp_path, **arrays), model)


def test_folder_refusals(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    with pytest.raises(DataError, match=r"photos' holds no pictures \(\.bmp, "):
        load_pictures(str(folder), model)
    write_photos(folder, 15)
    with pytest.raises(DataError, match="15 pictures are too few: at least 16"):
        load_pictures(str(folder), model)
    whole = (folder / "p000.tiff").read_bytes()
    (folder / "cut.tiff").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"image '.*cut\.tiff' cannot be read"):
        load_pictures(str(folder), model)
    with pytest.raises(DataError, match="1 or 3 channels, the model takes 4"):
        load_pictures(str(folder), classifier(tmp_path, channels=4))


def test_settings_that_are_refused(model: Model, tmp_path: Path) -> None:
    spec = write_npz(tmp_path, x=X)
    with pytest.raises(DataError, match="15 samples are too few: at least 16 are needed"):
        load_pictures(spec, model, PictureOptions(samples=15))
    with pytest.raises(AlcsError, match="2 values of mean, the model's input has 3 channels"):
        load_pictures(spec, model, PictureOptions(Preprocess(mean=(0.1, 0.2))))
    with pytest.raises(DataError, match="'nowhere' not found"):
        load_pictures("nowhere", model)
    with pytest.raises(DataError, match="data gives only input 'x': give the values of input"):
        load_pictures(spec, two_inputs(tmp_path, "N"))


# --- those of training data


def test_of_training_images_each_class_has_its_share(model: Model, tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 2, 3], 150)
    x = np.random.default_rng(0).random((600, 8, 8, 3), dtype=np.float32)
    data = load_data(write_npz(tmp_path, x_train=x, y_train=labels, x_test=x[:8]), model)
    inputs, targets = everything(training_pictures(data.train, seed=0))
    assert targets is not None
    assert np.bincount(targets).tolist() == [DEFAULT_SAMPLES // 8] * 4
    assert len(np.unique(inputs, axis=0)) == len(inputs) == DEFAULT_SAMPLES // 2
    again, other = (everything(training_pictures(data.train, seed=seed))[0] for seed in (0, 1))
    np.testing.assert_array_equal(inputs, again)
    assert not np.array_equal(inputs, other)


def test_others_judge_where_there_are_some(model: Model, tmp_path: Path) -> None:
    """As many, of which none is among those that are fitted on."""
    x = np.random.default_rng(0).random((600, 8, 8, 3), dtype=np.float32)
    file = write_npz(tmp_path, x_train=x, y_train=np.arange(600) % 4, x_test=x[:8])
    data = load_data(file, model)
    fit, others = (
        everything(training_pictures(data.train, seed=0, others=others))[0]
        for others in (False, True)
    )
    assert len(fit) == len(others) == DEFAULT_SAMPLES // 2
    assert len(np.unique(np.concatenate([fit, others]), axis=0)) == DEFAULT_SAMPLES
    file = write_npz(tmp_path, x_train=x[:40], y_train=np.arange(40) % 4, x_test=x[:8])
    few = load_data(file, model)
    assert len(everything(training_pictures(few.train, seed=0, others=True))[0]) == 40


def test_of_a_loader_every_pass_gives_the_same(module: str, model: Model) -> None:
    """What two models make of them is compared, though the loader draws another order each time."""
    data = load_data(f"{module}:shuffled", model)
    first, second = (everything(data.train)[0] for _ in range(2))
    assert not np.array_equal(first, second)
    pictures = training_pictures(data.train, seed=0)
    first, second = (everything(pictures)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_of_a_loader_the_first_batches_are_enough(module: str, model: Model) -> None:
    """One that never ends is read until it is enough, and as often as it is asked."""
    data = load_data(f"{module}:for_ever", model)
    pictures = training_pictures(data.train, seed=0)
    assert not pictures.labelled
    assert pictures.batch_count(8, training=False) is None
    for _ in range(2):
        assert len(everything(pictures)[0]) == DEFAULT_SAMPLES // 2
