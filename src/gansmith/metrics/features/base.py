"""What a feature network is: pictures in, numbers out, with a fingerprint of everything they depend on."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from gansmith.core.tensors import BytePictures


@dataclass(frozen=True)
class Outputs:
    """What a feature network says of some pictures."""

    features: Float[Tensor, "batch size"]
    logits: Float[Tensor, "batch classes"] | None = None  # Where the network tells classes apart.


@runtime_checkable
class FeatureNetwork(Protocol):
    """Turns pictures into features; a picture's numbers do not depend on the batch around it."""

    @property
    def name(self) -> str:
        """What the user calls it: ``inception``, ``face``, ..."""
        ...

    @property
    def size(self) -> int:
        """Numbers per picture."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of the weights, the preprocessing and the library versions."""
        ...

    def __call__(self, pictures: BytePictures) -> Outputs:
        """The features of uint8 pictures [n, 1 or 3, h, w], float32 [n, size]."""
        ...
