"""The small backbone: a residual network of common operators, which every engine and BigDL's converter support."""

from __future__ import annotations

from torch import Tensor, nn

EMBEDDING = 160


def _convolution(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two 3 x 3 convolutions with a shortcut, as in ResNet-18; halves the image if ``stride`` is 2."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, stride)
        self.second = _convolution(outputs, outputs)
        same = inputs == outputs and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else _convolution(inputs, outputs, stride, kernel=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.second(self.relu(self.first(x))) + self.shortcut(x))  # type: ignore[no-any-return]


class SmallBackbone(nn.Module):
    """N x 3 x 64 x 64 -> N x ``classes`` logits. The embedding is the 160 pooled features before the last layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolution(3, 24, stride=2), nn.ReLU())
        self.blocks = nn.Sequential(Block(24, 24), Block(24, 48, 2), Block(48, 96, 2))
        self.top = nn.Sequential(*_convolution(96, EMBEDDING, stride=2), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(EMBEDDING, classes)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool(self.top(self.blocks(self.stem(x)))).flatten(1)
        return self.head(pooled)  # type: ignore[no-any-return]
