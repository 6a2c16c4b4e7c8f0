"""Train LeNet-5 on MNIST and export it: the dense baseline of the weight pruning results.

    python tools/reproduce/lenet5_train.py --data mnist.npz -o lenet5.onnx --record lenet5.json

The network is the Caffe LeNet-5 of ADMM-NN-S, Table 4 (430.5K weights, 25.5K of them in the
convolutions): conv 5x5 1->20, max pool 2, conv 5x5 20->50, max pool 2, FC 800->500, ReLU,
FC 500->10. As in Caffe nothing but the pooling stands between the convolutions; `--relu` adds
a ReLU after each for comparison. Images are pixels / 255, what `alcs-onnx` makes of 8-bit
images unless told otherwise, so that `--data mnist.npz` needs no `--preprocess`.

The archive holds x_train [60000, 28, 28] uint8, y_train, x_test and y_test. The test images
are looked at once, after the last epoch.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class LeNet5(nn.Module):
    """[N, 1, 28, 28] images in [0, 1] to [N, 10] logits."""

    def __init__(self, relu: bool, dropout: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(800, 500)
        self.fc2 = nn.Linear(500, 10)
        self.activation: nn.Module = nn.ReLU() if relu else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.max_pool2d(self.activation(self.conv1(x)), 2)
        y = functional.max_pool2d(self.activation(self.conv2(y)), 2)
        y = self.dropout(functional.relu(self.fc1(self.dropout(y.flatten(1)))))
        logits: Tensor = self.fc2(y)
        return logits


def augment(images: Tensor, degrees: float, pixels: float, rng: torch.Generator) -> Tensor:
    """Turn each image by up to `degrees` and shift it by up to `pixels`, in its own way."""
    count, size = len(images), images.shape[-1]
    angle = (2 * torch.rand(count, generator=rng) - 1) * math.radians(degrees)
    shift = (2 * torch.rand(count, 2, generator=rng) - 1) * (2 * pixels / size)
    cos, sin = angle.cos(), angle.sin()
    rows = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1)
    grid = functional.affine_grid(rows.reshape(-1, 2, 3), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


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
    parser.add_argument("--data", type=Path, required=True, help="the MNIST archive (.npz)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the model to write")
    parser.add_argument("--record", type=Path, default=None, help="write what was reached here")
    parser.add_argument("--relu", action="store_true", help="a ReLU after each convolution")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--rotate", type=float, default=10.0, metavar="DEGREES")
    parser.add_argument("--shift", type=float, default=2.0, metavar="PIXELS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = torch.Generator().manual_seed(args.seed)

    with np.load(args.data) as archive:
        x_train, x_test = (
            torch.from_numpy(archive[k].astype(np.float32))[:, None] / 255
            for k in ("x_train", "x_test")
        )
        y_train, y_test = (
            torch.from_numpy(archive[k].astype(np.int64)) for k in ("y_train", "y_test")
        )

    model = LeNet5(args.relu, args.dropout)
    steps = args.epochs * (len(y_train) // args.batch_size)
    optimizer = torch.optim.Adam(model.parameters(), args.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    begin = time.monotonic()
    for epoch in range(args.epochs):
        start, total = time.monotonic(), 0.0
        model.train()
        order = torch.randperm(len(y_train), generator=rng)
        whole = len(order) // args.batch_size * args.batch_size
        batches = torch.split(order[:whole], args.batch_size)
        for index in batches:
            optimizer.zero_grad(set_to_none=True)
            x = augment(x_train[index], args.rotate, args.shift, rng)
            loss = functional.cross_entropy(model(x), y_train[index])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        seconds = time.monotonic() - start
        print(
            f"epoch {epoch + 1}/{args.epochs}  loss {total / len(batches):.4f}  {seconds:.0f} s",
            flush=True,
        )

    weights = {n: p.numel() for n, p in model.named_parameters() if n.endswith("weight")}
    record = {
        "command": shlex.join(["python", *sys.argv]),
        "seed": args.seed,
        "threads": args.threads,
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
        "preprocess": "none (pixels / 255)",
        "weights": weights | {"all": sum(weights.values())},
        "train_accuracy": accuracy(model, x_train, y_train),
        "test_accuracy": accuracy(model, x_test, y_test),
        "train_seconds": round(time.monotonic() - begin),
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model.eval(),
        (x_test[:1],),
        str(args.output),
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
        opset_version=17,
        dynamo=False,
    )
    text = json.dumps(record, indent=2)
    print(text)
    if args.record is not None:
        args.record.write_text(text + "\n")


if __name__ == "__main__":
    main()
