"""Trains the small backbone that comes with the package, and writes it with all metadata that IMPORT MODEL needs.

    python -m venv build/torch && build/torch/bin/pip install -r tools/small_backbone/requirements.txt
    build/torch/bin/python tools/small_backbone/train.py            # about 15 minutes on one core

The accuracy that is printed and stored is measured on images drawn with a seed that training does not use.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from network import SmallBackbone
from numpy.typing import NDArray
from pictures import CLASSES, SIDE, draw_set
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]

TRAIN_SEED, HELD_OUT_SEED, HELD_OUT_PER_CLASS = 1, 2, 25
MEAN, STD = 0.45, 0.25
PREPROCESSING = {
    "image_size": SIDE,
    "resize": f"squash:{SIDE}",
    "crop": "center",
    "color": "rgb",
    "scale": 1 / 255,
    "mean": [MEAN] * 3,
    "std": [STD] * 3,
}
LIMIT = 2_000_000  # maximum bytes of the file, which becomes part of the wheel


def normalised(pictures: NDArray[np.uint8]) -> Tensor:
    """Converts N x 64 x 64 x 3 bytes to the network's input, N x 3 x 64 x 64."""
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    return ((pixels / 255 - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def augmented(batch: Tensor, generator: torch.Generator) -> Tensor:
    """The batch with each image mirrored or not, and all images shifted together by up to six pixels."""
    mirror = torch.rand(len(batch), generator=generator) < 0.5
    batch = torch.where(mirror[:, None, None, None], batch.flip(3), batch)
    across, down = (int(torch.randint(-6, 7, (), generator=generator)) for _ in range(2))
    padded = nn.functional.pad(batch, (6, 6, 6, 6), mode="replicate")
    return padded[:, :, 6 + down : 6 + down + SIDE, 6 + across : 6 + across + SIDE]


def accuracy(model: nn.Module, pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    model.eval()
    with torch.no_grad():
        found = [model(normalised(part)).argmax(1) for part in np.array_split(pictures, len(pictures) // 200 + 1)]
    return float((torch.cat(found).numpy() == labels).mean())


def train(model: nn.Module, pictures: NDArray[np.uint8], labels: NDArray[np.int64], epochs: int, batch: int) -> None:
    """AdamW with one cycle of the learning rate; prints the loss of each epoch."""
    generator = torch.Generator().manual_seed(TRAIN_SEED)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    steps = len(pictures) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=epochs * steps, pct_start=0.2)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    for epoch in range(1, epochs + 1):
        model.train()
        started, total = time.monotonic(), 0.0
        order = torch.randperm(len(pictures), generator=generator).numpy()
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            inputs = augmented(normalised(pictures[chosen]), generator)
            with torch.autocast("cpu", torch.bfloat16):
                loss = criterion(model(inputs), torch.from_numpy(labels[chosen]))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch:2d} of {epochs}  loss {total / steps:.3f}  {time.monotonic() - started:.0f} s", flush=True)


def export(model: nn.Module, file: Path, held_out_accuracy: float) -> None:
    """Writes the ONNX file, with the accuracy, the class names and the preprocessing in its metadata."""
    example = torch.zeros(1, 3, SIDE, SIDE)
    names = {"input_names": ["image"], "output_names": ["logits"]}
    axes = {"image": {0: "N"}, "logits": {0: "N"}}
    torch.onnx.export(model.eval(), (example,), str(file), opset_version=17, dynamo=False, dynamic_axes=axes, **names)
    network = onnx.load(str(file))
    for key, value in {
        "sqlext.preprocessing": json.dumps(PREPROCESSING),
        "sqlext.labels": json.dumps(CLASSES),
        "sqlext.held_out_accuracy": f"{held_out_accuracy:.4f}",
        "sqlext.held_out_seed": str(HELD_OUT_SEED),
        "sqlext.held_out_per_class": str(HELD_OUT_PER_CLASS),
    }.items():
        network.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(network, full_check=True)
    onnx.save(network, str(file))


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains the small backbone of bigdl-sqlext.")
    parser.add_argument("--output", type=Path, default=ROOT / "sqlext" / "networks" / "small.onnx")
    parser.add_argument("--per-class", type=int, default=400, help="training pictures per class")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(TRAIN_SEED)
    started = time.monotonic()
    pictures, labels = draw_set(TRAIN_SEED, options.per_class)
    print(f"{len(pictures)} pictures of {len(CLASSES)} classes drawn in {time.monotonic() - started:.0f} s", flush=True)
    model = SmallBackbone(len(CLASSES)).to(memory_format=torch.channels_last)
    train(model, pictures, labels, options.epochs, batch=128)
    found = accuracy(model, *draw_set(HELD_OUT_SEED, HELD_OUT_PER_CLASS))
    export(model, options.output, found)
    size = options.output.stat().st_size
    print(f"{options.output}: {size:,} bytes, {sum(p.numel() for p in model.parameters()):,} parameters")
    print(f"held-out accuracy: {found:.4f}, {time.monotonic() - started:.0f} s in total")
    if size >= LIMIT:
        sys.exit(f"the file is larger than {LIMIT:,} bytes")


if __name__ == "__main__":
    main()
