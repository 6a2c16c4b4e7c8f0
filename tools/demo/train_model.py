"""Train the demo network on Fashion-MNIST, export it, and cut the subset that ships with it.

    python tools/demo/train_model.py --data DIR --out tools/demo/assets

`DIR` holds the four original idx files, gzipped or not (Debian: dataset-fashion-mnist).
Writes `fashion_resnet8.onnx` (dynamic batch), `fashion_subset.npz` (uint8 images and labels,
stratified) and `training.json` with the arguments, the seed and the accuracies reached.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN, STD = 0.2860, 0.3530


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet8(nn.Module):
    """A residual network of three stages with one block each, for 28x28 grey images."""

    def __init__(self, width: int, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.stages = nn.Sequential(
            BasicBlock(width, width, 1),
            BasicBlock(width, 2 * width, 2),
            BasicBlock(2 * width, 4 * width, 2),
        )
        self.classifier = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stages(functional.relu(self.bn(self.stem(x))))
        logits: Tensor = self.classifier(y.mean(dim=(2, 3)))
        return logits


def read_idx(folder: Path, name: str) -> np.ndarray:
    """Read one idx file of unsigned bytes, gzipped or plain."""
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.exists()), None)
    if path is None:
        raise SystemExit(f"train_model: no {name} or {name}.gz in {folder}")
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rank = raw[3]
    shape = np.frombuffer(raw, ">u4", rank, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape.astype(int))


def stratified(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `count` samples with equally many of every class, in random order."""
    classes = np.unique(labels)
    share = count // len(classes)
    chosen = [rng.choice(np.flatnonzero(labels == c), share, replace=False) for c in classes]
    return rng.permutation(np.concatenate(chosen))


def augment(batch: Tensor, rng: torch.Generator) -> Tensor:
    """Mirror half of the images and shift all of them by up to two pixels."""
    mirrored = torch.rand(len(batch), generator=rng) < 0.5
    batch = torch.where(mirrored[:, None, None, None], batch.flip(3), batch)
    dy, dx = torch.randint(0, 5, (2,), generator=rng).tolist()
    return functional.pad(batch, (2, 2, 2, 2), value=-MEAN / STD)[:, :, dy : dy + 28, dx : dx + 28]


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in percent."""
    model.eval()
    hits = sum(
        int((model(x).argmax(1) == y).sum().item())
        for x, y in zip(torch.split(images, 500), torch.split(labels, 500), strict=True)
    )
    return 100 * hits / len(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.2)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--train-images", type=int, default=8000)
    parser.add_argument("--test-images", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng, np_rng = torch.Generator().manual_seed(args.seed), np.random.default_rng(args.seed)

    raw = {
        "x_train": read_idx(args.data, "train-images-idx3-ubyte"),
        "y_train": read_idx(args.data, "train-labels-idx1-ubyte"),
        "x_test": read_idx(args.data, "t10k-images-idx3-ubyte"),
        "y_test": read_idx(args.data, "t10k-labels-idx1-ubyte"),
    }
    x_train, x_test = (
        ((torch.from_numpy(raw[k].astype(np.float32)) / 255 - MEAN) / STD)[:, None]
        for k in ("x_train", "x_test")
    )
    y_train, y_test = (torch.from_numpy(raw[k].astype(np.int64)) for k in ("y_train", "y_test"))

    model = ResNet8(args.width)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = args.epochs * (len(y_train) // args.batch_size)
    optimizer = torch.optim.SGD(
        model.parameters(), args.lr, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=steps)
    for epoch in range(args.epochs):
        start, total = time.monotonic(), 0.0
        model.train()
        order = torch.randperm(len(y_train), generator=rng)
        whole = len(order) // args.batch_size * args.batch_size
        batches = torch.split(order[:whole], args.batch_size)
        for index in batches:
            optimizer.zero_grad(set_to_none=True)
            x = augment(x_train[index], rng).contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(model(x), y_train[index], label_smoothing=0.05)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(
            f"epoch {epoch + 1}/{args.epochs}  loss {total / len(batches):.4f}  "
            f"test {accuracy(model, x_test, y_test):.2f} %  {time.monotonic() - start:.0f} s",
            flush=True,
        )

    model.eval()
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    args.out.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model,
        (x_test[:1],),
        str(args.out / "fashion_resnet8.onnx"),
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
        opset_version=17,
        dynamo=False,
    )
    subset = {}
    for split, count in (("train", args.train_images), ("test", args.test_images)):
        chosen = stratified(raw[f"y_{split}"], count, np_rng)
        subset[f"x_{split}"] = raw[f"x_{split}"][chosen]
        subset[f"y_{split}"] = raw[f"y_{split}"][chosen]
    np.savez_compressed(args.out / "fashion_subset.npz", **subset)
    subset_x = ((torch.from_numpy(subset["x_test"].astype(np.float32)) / 255 - MEAN) / STD)[:, None]
    told = {k: v for k, v in vars(args).items() if k not in ("data", "out")}
    record = {
        "arguments": told,
        "torch": torch.__version__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "test_accuracy": accuracy(model, x_test, y_test),
        "subset_test_accuracy": accuracy(
            model, subset_x, torch.from_numpy(subset["y_test"].astype(np.int64))
        ),
    }
    (args.out / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
