"""From radiance to a photograph: lens blur, vignetting, sensor noise, tone curve."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.synth.place.light import Light

FloatArray = npt.NDArray[np.float32]

MARGIN_PX = 6  # pixels around a tile that the blur needs
MAX_SHAKE_PX = 4.0


@dataclass(frozen=True)
class Lens:
    """How a camera spoils and develops a picture.

    Attributes:
        exposure: factor on radiance.
        blur_px: deviation of the point spread.
        shake_px: (2,) how far the camera moved meanwhile, across and down.
        noise: deviation of the read noise; photon: of white, relative.
        vignette: share of light lost in the corners.
        tint: (3,) white balance.
    """

    exposure: float
    blur_px: float
    shake_px: tuple[float, float]
    noise: float
    photon: float
    vignette: float
    tint: tuple[float, float, float]


def sample_lens(rng: np.random.Generator, light: Light) -> Lens:
    """A lens whose exposure suits the light."""
    ground = 0.26 * float((light.sun * light.to_sun[1] + light.sky).mean())
    tint = 1 + rng.normal(0, 0.025, 3)
    # Most pictures are sharp; a hand or a slow shutter spoils some.
    shake = rng.exponential(0.8) if rng.random() < 0.35 else 0.0
    angle = rng.uniform(0, np.pi)
    shaken = min(shake, MAX_SHAKE_PX) * np.array([np.cos(angle), np.sin(angle)])
    return Lens(
        exposure=0.33 / ground * float(np.exp(rng.normal(0, 0.15))),
        blur_px=float(rng.uniform(0.45, 0.85)),
        shake_px=(float(shaken[0]), float(shaken[1])),
        noise=float(rng.uniform(0.001, 0.003)),
        photon=float(rng.uniform(0.006, 0.018)),
        vignette=float(rng.uniform(0.03, 0.18)),
        tint=(float(tint[0]), float(tint[1]), float(tint[2])),
    )


def develop(
    radiance: FloatArray,
    lens: Lens,
    rng: np.random.Generator,
    corner_px: tuple[int, int],
    size: tuple[int, int],
) -> npt.NDArray[np.uint8]:
    """Radiance of an area -> (h, w, 3) sRGB bytes of the same area.

    Args:
        radiance: (h, w, 3) linear.
        corner_px: x, y of the area in the picture of `size` (width, height).
    """
    rows, columns = radiance.shape[:2]
    image = cv2.GaussianBlur(radiance, (0, 0), lens.blur_px, borderType=cv2.BORDER_REPLICATE)
    if max(np.abs(lens.shake_px)) > 0.1:
        image = cv2.filter2D(image, -1, _smear(lens.shake_px), borderType=cv2.BORDER_REPLICATE)
    u = (corner_px[0] + np.arange(columns, dtype=np.float32) + 0.5) / size[0] - 0.5
    v = ((corner_px[1] + np.arange(rows, dtype=np.float32) + 0.5) - size[1] / 2) / size[0]
    radius2 = (u[None] ** 2 + v[:, None] ** 2) / (0.25 + 0.25 * (size[1] / size[0]) ** 2)
    image = image * (
        lens.exposure * (1 - lens.vignette * radius2)[..., None] * np.array(lens.tint, np.float32)
    )
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    image = image + grain * np.sqrt(lens.noise**2 + lens.photon**2 * np.clip(image, 0, 2))
    return np.asarray(np.clip(_tone(image.astype(np.float32)) * 255 + 0.5, 0, 255), np.uint8)


def _smear(shake_px: tuple[float, float]) -> FloatArray:
    """The kernel of a straight, even movement."""
    half = int(np.ceil(MAX_SHAKE_PX / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for share in np.linspace(-0.5, 0.5, 33):
        u, v = half + share * np.array(shake_px)
        column, row = int(u), int(v)
        a, b = u - column, v - row
        kernel[row : row + 2, column : column + 2] += np.outer([1 - b, b], [1 - a, a])
    return np.asarray(kernel / kernel.sum(), np.float32)


_CURVE_MAX = 4.0
_CURVE = np.linspace(0, _CURVE_MAX, 4096, dtype=np.float32)
# A shoulder that keeps highlights, then the sRGB curve, then a little contrast as cameras add it.
_SHOULDER = np.where(_CURVE < 0.5, _CURVE, 0.5 + 0.5 * np.tanh((_CURVE - 0.5) / 0.6))
_SRGB = np.where(_SHOULDER > 0.0031308, 1.055 * _SHOULDER ** (1 / 2.4) - 0.055, 12.92 * _SHOULDER)
_TONED = (_SRGB + 0.22 * (_SRGB * _SRGB * (3 - 2 * _SRGB) - _SRGB)).astype(np.float32)


def _tone(linear: FloatArray) -> FloatArray:
    index = np.clip(linear * (len(_CURVE) - 1) / _CURVE_MAX, 0, len(_CURVE) - 1)
    low = np.minimum(index.astype(np.int32), len(_CURVE) - 2)
    share = index - low
    return np.asarray(_TONED[low] * (1 - share) + _TONED[low + 1] * share, np.float32)
