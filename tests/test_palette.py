"""The colours of all figures: seen on white and on a dark page, and told apart by colour-blind readers."""

from __future__ import annotations

from importlib import resources
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from chaosnb.figures import PALETTE

# Of JupyterLab: the ground of its notebooks, light and dark, and that of its dark menus.
GROUNDS = ("#FFFFFF", "#111111", "#212121")
# What is left of linear RGB without one kind of cone: Machado, Oliveira and Fernandes (2009), whole severity.
SIGHTS = {
    "all cones": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# Ottosson's Oklab, in which equal distances look about equally far.
TO_CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
TO_LAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def linear(color: str) -> NDArray[np.float64]:
    share = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """The ratio as WCAG defines it."""
    dark, light = sorted(float(np.array([0.2126, 0.7152, 0.0722]) @ linear(color)) for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def lab(light: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(TO_LAB @ np.cbrt(TO_CONES @ light.clip(0, 1)))


@pytest.mark.parametrize("color", PALETTE)
def test_a_line_stands_out_from_every_ground(color: str) -> None:
    """By 3 to 1 or more, as WCAG asks of what is not text."""
    assert min(contrast(color, ground) for ground in GROUNDS) >= 3


@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_can_be_told_apart(sight: str) -> None:
    """Two steps that are just seen lie between any two, whichever cones a reader has."""
    seen = [lab(np.array(SIGHTS[sight]) @ linear(color)) for color in PALETTE]
    assert min(float(np.linalg.norm(one - other)) for one, other in combinations(seen, 2)) >= 0.04


def test_the_dark_theme_lightens_the_palettes_blue() -> None:
    """The style sheet names that very colour, as browsers write it."""
    red, green, blue = (int(PALETTE[0][place : place + 2], 16) for place in (1, 3, 5))
    sheet = resources.files("chaosnb.notebook").joinpath("live_plot.css").read_text("utf-8")
    for kind in ("stroke", "fill"):
        assert f'[style*="{kind}: rgb({red}, {green}, {blue})"]' in sheet
