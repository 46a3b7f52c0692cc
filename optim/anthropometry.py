"""Where a 2D detector sees the joints of a standing adult, as fractions of stature, and how surely.

Segment fractions start from Drillis & Contini (1966), "Body segment parameters", NYU report
1166-03: ankle 0.039, knee 0.285, hip 0.530, shoulder 0.818, eye 0.936 of stature. Detectors
trained on COCO mark the middle of the ankle rather than the malleolus, and the centre of the
shoulder joint rather than the acromion: measured on rendered crowds, shoulder to ankle is
1.25-1.27 m for people of 1.70 m, not 1.32 m, and ankles stand 0.09 m above the ground. Shoulder
and ankle are moved accordingly; hip and face by the 0.01-0.02 by which they miss the line through
the other joints in calibrated street footage (PETS 2009).
"""

from __future__ import annotations

import math

import numpy as np

# COCO-17: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles.
HEIGHT_FRACTION = np.array(
    [0.905, 0.925, 0.925, 0.915, 0.915, 0.794, 0.794, np.nan, np.nan, np.nan, np.nan,
     0.505, 0.505, 0.285, 0.285, 0.053, 0.053]
)  # fmt: skip
ANKLE_FRACTION = 0.053
SHOULDER_FRACTION = 0.794

# Joints that mark the same height; arms move too freely to be of use.
LEVELS: tuple[tuple[int, ...], ...] = ((0, 1, 2, 3, 4), (5, 6), (11, 12), (13, 14), (15, 16))
# Distance of a level from the body's axis when people stand, walk and slouch: standard deviation
# as a fraction of stature. Heads are carried forward of the axis by about 0.1 m.
LEVEL_POSE_SD = np.array([0.045, 0.012, 0.018, 0.025, 0.018])
# Half the distance of the two joints of a level (Drillis & Contini: biacromial 0.259, hips 0.191
# of stature between the outermost points): what a level seen on one side only is off by.
LEVEL_HALF_WIDTH = np.array([0.03, 0.105, 0.055, 0.055, 0.055])

# Standard deviation of annotators' keypoints over the square root of a person's area (COCO keypoint
# evaluation, table of sigmas); good detectors are about as precise on people seen well.
COCO_SIGMA = np.array(
    [.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062,
     .107, .107, .087, .087, .089, .089]
)  # fmt: skip
AREA_ROOT_OF_STATURE = 0.3  # square root of a standing person's segmented area over the height

ADULT_STATURE_M = 1.70
ADULT_STATURE_SD_M = 0.095  # women and men together (NCD-RisC 2016: sexes 0.07 each, 0.13 apart)
LOG_STATURE_SD = ADULT_STATURE_SD_M / ADULT_STATURE_M
UPRIGHT_LEAN_SD_RAD = math.radians(3.0)
