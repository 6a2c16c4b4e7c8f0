"""What calibrators, corrected biases, equalization and rounding layer by layer do to int8 models.

    python tools/reproduce/int8.py --models DIR --photos DIR --cifar DIR

`--models` has mobilenetv2.onnx, efficientnet-lite0.onnx and resnet20_cifar.onnx. `--photos` are
256x256 pictures, which the first two see as `imagenet_agreement.py` says: of 1,000 some are fitted
on and 500 others judge, by how often the first class is that of the float model. `--cifar` has
`train` and `test`, a folder for each class: the settings of ResNet-20 are compared by the accuracy
on 2,000 training pictures that nothing was fitted on, and the default alone sees the test pictures.
`relative error` is |int8 - float| / |float| over all logits. Weights take `--bits`, by default what
this machine's int8 kernels add up right. With 8 bits where they do not, files run as they are
written, in float, and biases, which are corrected by what the kernels give, are not.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from imagenet_agreement import IMAGENET, LITE, load_photos
from measure import write_result
from PIL import Image

from alcs_onnx import ort
from alcs_onnx.data.memory import ArraySamples
from alcs_onnx.data.others import GivenInput
from alcs_onnx.graph import Model, folded, load_model, loadable
from alcs_onnx.ort import Feeds
from alcs_onnx.pipeline.common.rounding import ToRound, rounded
from alcs_onnx.quantization import (
    LEAST_OPSET,
    QuantizeOptions,
    Ranges,
    calibrate,
    equalized,
    products_overflow,
    quantize,
    with_corrected_biases,
)
from alcs_onnx.reporter import SILENT
from alcs_onnx.serialized import Serialized

Array = np.ndarray
JUDGES = {"imagenet": 500, "cifar": 2000}
#: Pictures that biases are corrected on, at most.
BIAS_PICTURES = 128
#: Pictures that channels are equalized by.
RANGE_PICTURES = 128


@dataclass(frozen=True)
class Setting:
    """One way to quantize."""

    calibrator: str = "min-max"
    pictures: int = 256
    bias: bool = False
    equalize: bool = False
    rounding: bool = False


#: As `optimize` makes them, besides rounding to the nearest.
LAYER_BY_LAYER = tuple(
    Setting(calibrator, 128, equalize=True, rounding=True) for calibrator in ("extremes", "min-max")
)
SETTINGS = (
    Setting(pictures=16),
    Setting(pictures=64),
    Setting(),
    Setting(pictures=64, bias=True),
    Setting(bias=True),
    Setting(equalize=True),
    Setting(bias=True, equalize=True),
    Setting(rounding=True),
    *LAYER_BY_LAYER,
    *(Setting("extremes", n, b) for n in (64, 128) for b in (False, True)),
    *(Setting(c, 64, b) for c in ("percentile", "entropy") for b in (False, True)),
)
#: What ResNet-20 meets the test pictures with.
DEFAULT = LAYER_BY_LAYER[1]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Those to fit on and those to judge with, [N, C, H, W] in uint8; labels of the latter."""

    fit: Array
    judge: Array
    labels: Array | None
    mean: Array
    deviation: Array

    def feeds(self, images: Array, name: str) -> Iterator[Feeds]:
        mean, deviation = self.mean[:, None, None], self.deviation[:, None, None]
        for image in images:
            yield {name: ((image - mean) / deviation).astype(np.float32)[None]}


class Study:
    """One model, with what several settings share."""

    def __init__(self, path: Path, pictures: Pictures, bits: int) -> None:
        self.pictures = pictures
        self.options = QuantizeOptions(reduce_range=bits == 7)
        self.exact = bits == 7 or not products_overflow()
        self.model = load_model(path)
        self.input = self.model.inputs[0].name
        self.float = self.logits(loadable(self.model), pictures.judge)
        self.form = cache(self._form)
        self.source = cache(lambda equalize: loadable(self.form(equalize), LEAST_OPSET))
        self.ranges = cache(self._ranges)

    def _form(self, equalize: bool) -> Model:
        model = folded(self.model)
        return equalized(model, self.fit(RANGE_PICTURES)) if equalize else model

    @property
    def settings(self) -> Iterator[Setting]:
        """Those that the kernels of this machine can make."""
        return (setting for setting in SETTINGS if self.exact or not setting.bias)

    def _ranges(self, calibrator: str, count: int, equalize: bool) -> Ranges:
        return calibrate(self.source(equalize), self.fit(count), calibrator)

    def fit(self, count: int) -> Iterable[Feeds]:
        return self.pictures.feeds(self.pictures.fit[:count], self.input)

    def samples(self, count: int) -> ArraySamples:
        array = np.concatenate([feeds[self.input] for feeds in self.fit(count)])
        return ArraySamples((GivenInput(array, True),), len(array))

    def logits(self, model: Serialized, images: Array) -> Array:
        session = ort.create_session(model, threads=2, library=False, optimized=self.exact)
        feeds = self.pictures.feeds(images, self.input)
        return np.concatenate([session.run(each)[0] for each in feeds])

    def quantized(self, setting: Setting) -> Serialized:
        source = self.source(setting.equalize)
        ranges = self.ranges(setting.calibrator, setting.pictures, setting.equalize)
        if setting.bias:
            count = min(setting.pictures, BIAS_PICTURES)
            source = with_corrected_biases(source, ranges, self.fit(count), options=self.options)
        if setting.rounding:
            form = self.form(setting.equalize)
            work = ToRound(form, source, ranges, None, self.options)
            return rounded(work, self.samples(setting.pictures), 0, SILENT).model
        return quantize(source, ranges, options=self.options).model

    def figures(self, setting: Setting) -> dict[str, float]:
        found = self.logits(self.quantized(setting), self.pictures.judge)
        return {**asdict(setting), **compared(found, self.float, self.pictures.labels)}


def compared(found: Array, wanted: Array, labels: Array | None) -> dict[str, float]:
    figures = {
        "agreement_percent": 100 * float(np.mean(found.argmax(1) == wanted.argmax(1))),
        "relative_error": float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted)),
    }
    if labels is not None:
        figures["accuracy_percent"] = 100 * float(np.mean(found.argmax(1) == labels))
    return figures


def imagenet(folder: Path, lite: bool, seed: int) -> Pictures:
    photos = load_photos(folder)
    photos = photos[np.random.default_rng(seed).permutation(len(photos))]
    judge = photos[: JUDGES["imagenet"]]
    return Pictures(photos[len(judge) :], judge, None, *(LITE if lite else IMAGENET))


def cifar(folder: Path, part: str) -> tuple[Array, Array]:
    """All pictures of one part, and their classes."""
    paths = sorted((folder / part).glob("*/*.jpg"))
    classes = sorted({path.parent.name for path in paths})
    images = [np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1) for path in paths]
    return np.stack(images), np.array([classes.index(path.parent.name) for path in paths])


def cifar_pictures(folder: Path, seed: int) -> Pictures:
    images, labels = cifar(folder, "train")
    order = np.random.default_rng(seed).permutation(len(images))
    judge, fit = np.split(order[:4000], [JUDGES["cifar"]])
    return Pictures(images[fit], images[judge], labels[judge], *IMAGENET)


def on_test(study: Study, folder: Path) -> Mapping[str, float]:
    """The default setting on the test pictures, beside the float model."""
    images, labels = cifar(folder, "test")
    float_logits = study.logits(loadable(study.model), images)
    found = compared(study.logits(study.quantized(DEFAULT), images), float_logits, labels)
    return {**found, "float_accuracy_percent": compared(float_logits, float_logits, labels)[
        "accuracy_percent"]}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--cifar", type=Path, required=True)
    parser.add_argument("--only", help="one model, by its name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bits", type=int, choices=(7, 8), default=7 if products_overflow() else 8)
    args = parser.parse_args()
    for name in ("mobilenetv2", "efficientnet-lite0", "resnet20_cifar"):
        if args.only not in (None, name):
            continue
        small = name == "resnet20_cifar"
        pictures = (
            cifar_pictures(args.cifar, args.seed) if small
            else imagenet(args.photos, "lite" in name, args.seed)
        )  # fmt: skip
        study = Study(args.models / f"{name}.onnx", pictures, args.bits)
        rows = []
        for setting in study.settings:
            rows.append(study.figures(setting))
            print(name, rows[-1], flush=True)
        test = on_test(study, args.cifar) if small else {}
        print(name, "test", test)
        given = {"seed": args.seed, "judges": len(pictures.judge), "bias_pictures": BIAS_PICTURES,
                 "bits": args.bits}  # fmt: skip
        figures = {"settings": rows, "test": test}
        write_result(f"int8_{args.bits}bits_{name}", given, figures, threads=2)


if __name__ == "__main__":
    main()
