"""Top-1 agreement of pruned ImageNet models with their dense originals on a folder of photos.

    python tools/reproduce/imagenet_agreement.py --photos DIR --pair DENSE.onnx PRUNED.onnx ...

Photos are 256x256 centre crops; the centre 224x224 enters the model, as x / 255 normalised by
the ImageNet mean and deviation, or for efficientnet-lite as (x - 127) / 128. With file names
that begin with a WordNet id, one photo per class in class order, accuracy is reported as well.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from measure import write_result
from PIL import Image

from alcs_onnx import ort

IMAGENET = (255.0 * np.array([0.485, 0.456, 0.406]), 255.0 * np.array([0.229, 0.224, 0.225]))
LITE = (np.full(3, 127.0), np.full(3, 128.0))


def load_photos(folder: Path) -> np.ndarray:
    """All photos, sorted by name, as uint8 [N, 3, 224, 224]."""
    images = []
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        top, left = (pixels.shape[0] - 224) // 2, (pixels.shape[1] - 224) // 2
        images.append(pixels[top : top + 224, left : left + 224].transpose(2, 0, 1))
    if not images:
        raise SystemExit(f"imagenet_agreement: no .jpg in {folder}")
    return np.stack(images)


def predict(model: Path, photos: np.ndarray) -> np.ndarray:
    """Top-1 class of every photo."""
    session = ort.create_session(model, threads=2)
    mean, std = LITE if "lite" in model.name else IMAGENET
    name = session.inputs[0].name
    classes = []
    for photo in photos:
        x = ((photo - mean[:, None, None]) / std[:, None, None]).astype(np.float32)[None]
        classes.append(int(np.argmax(session.run({name: x})[0])))
    return np.array(classes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument(
        "--pair", type=Path, nargs=2, action="append", required=True, metavar=("DENSE", "PRUNED")
    )
    args = parser.parse_args()
    photos = load_photos(args.photos)
    truth = np.arange(len(photos))
    figures = {}
    for dense, pruned in args.pair:
        before, after = predict(dense, photos), predict(pruned, photos)
        figures[pruned.name] = {
            "dense": dense.name,
            "photos": len(photos),
            "agreement_percent": 100 * float(np.mean(before == after)),
            "dense_top1_percent": 100 * float(np.mean(before == truth)),
            "pruned_top1_percent": 100 * float(np.mean(after == truth)),
        }
        print(pruned.name, figures[pruned.name])
    write_result("imagenet_agreement", {"pairs": len(args.pair)}, figures, threads=2)


if __name__ == "__main__":
    main()
