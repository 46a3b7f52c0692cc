"""Widths of cameras' sensors, for pictures whose EXIF tells a focal length in millimetres only.

By series rather than by model: what the makers' data sheets say of all cameras of a series. Where a series had
sensors of several sizes, its spread says so.
"""

from __future__ import annotations

import re

_FULL, _APS_C, _CANON_APS_C, _APS_H, _FOUR_THIRDS, _ONE_INCH = 36.0, 23.6, 22.3, 28.1, 17.3, 13.2
_TWO_THIRDS, _POCKET, _PHONE = (
    8.8,
    6.0,
    4.54,
)  # pocket cameras have 1/2.7 to 1/2.3 inch, 5.4 to 6.2 mm
_SURE, _SERIES = (
    0.01,
    0.12,
)  # standard deviation of the logarithm: one sensor, or several of about that size
_MOST_LETTERS = 120

# The first that is found in "maker model" in small letters counts.
_RULES = tuple(
    (re.compile(pattern), width_mm, log_sd)
    for pattern, width_mm, log_sd in (
        (r"canon eos[- ]1d( mark i[iv]+( n)?)?$", _APS_H, _SURE),
        (r"canon eos[- ](1ds|1d ?x|1d c|5d|6d|r[1-68]?(?!\d)|rp|ra)", _FULL, _SURE),
        (r"canon eos", _CANON_APS_C, _SURE),
        (
            r"nikon (d[3-6][sx]?\b|(d6[01]0|d7[058]0|d8[015]0[ae]?|df)\b|z ?[5-9f](?!\d))",
            _FULL,
            _SURE,
        ),
        (r"nikon (d\d+[a-z]*|z ?(30|50|fc))", _APS_C, _SURE),
        (r"nikon 1 ", _ONE_INCH, _SURE),
        (r"sony (ilce-[179]|slt-a99|ilca-99|dslr-a[89]|dsc-rx1r?(m\d)?$|zv-e1$)", _FULL, _SURE),
        (r"sony (ilce|nex|slt|ilca|dslr|zv-e10)", _APS_C, _SURE),
        (r"sony (dsc-rx10|zv-1)", _ONE_INCH, _SURE),
        (r"sony dsc-(h|hx|s|t|tx|w|wx)\d", _POCKET, _SERIES),
        (r"fujifilm gfx", 43.8, _SURE),
        (r"fujifilm (x[123]0|xf1|x-s1)$", _TWO_THIRDS, _SURE),
        (r"fujifilm x(-[aehmst]\d|-pro|100|70)", _APS_C, _SURE),
        (r"(olympus|om digital).* (e-\d|e-m|e-p|pen-f|om-\d)", _FOUR_THIRDS, _SURE),
        (r"panasonic (dmc-(g|l1|l10)|dc-g)", _FOUR_THIRDS, _SURE),
        (r"panasonic dc-s\d", _FULL, _SURE),
        (r"panasonic d(mc|c)-(fz1000|fz2\d00|tz1\d0|zs1\d0|tz20\d|lx1[05])", _ONE_INCH, _SURE),
        (r"panasonic dmc-fz(30|50)$", 7.18, _SURE),
        (r"panasonic d(mc|c)-(f[sxz]|tz|zs)\d", _POCKET, _SERIES),
        (r"(pentax|ricoh).* k-1\b", _FULL, _SURE),
        (r"pentax.* (k\d|k-\w|\*ist)", _APS_C, _SURE),
        (r"samsung nx", _APS_C, _SURE),
        (r"minolta.*(maxxum|dynax|alpha).* [57]d", _APS_C, _SURE),
        (r"leica (m8|m8\.2)", 27.0, _SURE),
        (r"leica (m9|m10|m11|m \(typ|q|sl)", _FULL, _SURE),
        (r"sigma (dp[123]s?x?|sd(9|10|14|15))$", 20.7, _SURE),
        (r"apple iphone 4s?$", _PHONE, _SURE),
        (r"apple iphone (5|6)", 4.8, _SURE),
        (r"nikon coolpix [ls]\d", _POCKET, _SERIES),
        (r"casio.* ex-[zs]\d", _POCKET, _SERIES),
        (r"kodak .*(easyshare|cx|dx|z)\d*", _POCKET, _SERIES),
        (
            r"(olympus|pentax|samsung).* (fe-?\d|u\d|stylus|optio|digimax|wb\d|st\d)",
            _POCKET,
            _SERIES,
        ),
    )
)


def sensor_width_mm(model: str) -> tuple[float, float] | None:
    """Width of the sensor, and standard deviation of its logarithm; None if the camera is not known.

    Args:
        model: maker and model as EXIF tells them, "Canon Canon EOS 40D" or "NIKON CORPORATION NIKON D70".
    """
    words = model[:_MOST_LETTERS].lower().split()
    words = [word for word in words if word not in ("corporation", "imaging", "corp.")]
    name = " ".join(word for i, word in enumerate(words) if i == 0 or word != words[i - 1])
    for pattern, width_mm, log_sd in _RULES:
        if pattern.search(name):
            return width_mm, log_sd
    return None
