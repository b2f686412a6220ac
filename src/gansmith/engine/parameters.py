"""Which weights each player moves, which networks nobody moves, and which are averaged."""

from typing import Any

from torch import nn

from gansmith.config.recipe import Recipe
from gansmith.engine.ema import EMA
from gansmith.errors import SettingError, nearest
from gansmith.methods.base import Method
from gansmith.networks.bundle import Networks


def owned(method: Method[Any, Any, Any], networks: Networks) -> dict[str, list[nn.Parameter]]:
    """The parameters of each player, each once even where networks share them.

    Raises:
        SettingError: a player owns a network that is not there.
    """
    found = {}
    known = [name for name, _ in networks.named_children()]
    for player, names in method.players().items():
        for name in names:
            if name.partition(".")[0] not in known:
                raise SettingError(f"The player '{player}' owns no network '{name}'.{nearest(name, known)}")
        parameters = [p for name in names for p in networks.get_submodule(name).parameters()]
        found[player] = list(dict.fromkeys(parameters))
    return found


def set_modes(method: Method[Any, Any, Any], networks: Networks) -> None:
    """Training mode for what players own, networks or parts of networks; eval mode for all else."""
    networks.train()
    played = {name for names in method.players().values() for name in names}
    for name, network in networks.named_children():
        network.train(name in played)
    for name in played:
        networks.get_submodule(name).train()


def average(recipe: Recipe, networks: Networks) -> EMA | None:
    """The averaged copies a recipe asks for; None where it asks for none.

    Raises:
        SettingError: it names a network that is not there.
    """
    if recipe.train.average is None or not recipe.train.averaged:
        return None
    return EMA(networks, averaged_names(recipe, networks))


def averaged_names(recipe: Recipe, networks: Networks) -> tuple[str, ...]:
    """The networks that ``train.averaged`` names; a player's name stands for all networks it owns.

    Raises:
        SettingError: a name is neither.
    """
    known, players = [name for name, _ in networks.named_children()], recipe.method.players()
    found: list[str] = []
    for name in recipe.train.averaged:
        if name not in known and name not in players:
            raise SettingError(f"train.averaged names networks: {', '.join(known)}. Received: {name!r}.")
        found += [name] if name in known else players[name]
    return tuple(dict.fromkeys(found))
