"""Methods that tell something of images and make none: p(y | x), where a generator has p(x)."""

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.tensors import Images
from gansmith.errors import SettingError
from gansmith.methods.base import B, Method, N


class DiscriminativeMethod(Method[N, B, None]):
    """A method whose networks answer and do not draw. A run of it has curves and held-out numbers, no grids.

    Example:
        >>> class Mine(DiscriminativeMethod[Alone, LabelledBatch]):
        ...     def answers(self, networks, images): return networks.classifier(images)
    """

    makes_images: ClassVar[bool] = False

    @abstractmethod
    def answers(self, networks: N, images: Images) -> Tensor:
        """What is said of images in the networks' range, [batch, outputs]; differentiable by the images."""

    @abstractmethod
    def truth(self, batch: B) -> Tensor:
        """What should be said of a batch."""

    def generate(self, networks: N, prompt: Any, noise: Noise) -> Images:
        """Nothing.

        Raises:
            SettingError: always.
        """
        raise SettingError(
            f"This needs a model that makes images. Received: {type(self).__name__}, which tells what an "
            "image shows. Name the run of a generator."
        )
