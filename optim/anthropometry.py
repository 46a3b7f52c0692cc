"""Where a 2D detector sees the joints of a person on their feet, as fractions of stature, and how surely.

Heights are those of the COCO-17 keypoints of the body model `open`, averaged over 4,317 adults who stand
or walk in shoes (as `crowd3d synth` draws them: stature 1.69 m on average, four in ten walking). A body on
its feet is not a body at rest: knees bend, a walker's rear foot stands on its toes. Shoulder to ankle is
0.737 of stature, 1.25 m at 1.70 m, where bones alone (Drillis & Contini 1966, "Body segment parameters",
NYU report 1166-03) would say 1.32 m; detectors on rendered crowds were measured at 1.25-1.27 m.
"""

from __future__ import annotations

import math

import numpy as np

# COCO-17: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles.
HEIGHT_FRACTION = np.array(
    [0.901, 0.922, 0.922, 0.921, 0.921, 0.819, 0.819, np.nan, np.nan, np.nan, np.nan,
     0.520, 0.520, 0.299, 0.299, 0.082, 0.082]
)  # fmt: skip
ANKLE_FRACTION = 0.082
SHOULDER_FRACTION = 0.819
HIP_FRACTION = 0.520

# Joints that mark the same height; arms move too freely to be of use.
LEVELS: tuple[tuple[int, ...], ...] = ((0, 1, 2, 3, 4), (5, 6), (11, 12), (13, 14), (15, 16))
# Distance of a level from the body's axis when people stand, walk and slouch: standard deviation
# as a fraction of stature. Heads are carried forward of the axis by about 0.1 m.
LEVEL_POSE_SD = np.array([0.045, 0.012, 0.018, 0.025, 0.018])
# People who sit, as drawn by `crowd3d synth` like those above. Fractions of stature: of hips above the feet,
# from hips to shoulders, and how far knees and ankles are below the hips in the picture. The latter are of
# people seen from in front or behind, up to 30 degrees from above: their thighs point at the camera or away.
SEATED_HIP_FRACTION, SEATED_TORSO_FRACTION = 0.34, 0.26
SEATED_BELOW_HIPS = {3: 0.10, 4: 0.30}  # by row of LEVELS; 0.221 and 0.438 of people on their feet
SEATED_BELOW_HIPS_SD = 0.09
SEATED_SHARE = 0.05  # of a crowd, before it is seen

# Half the distance of the two joints of a level (Drillis & Contini: biacromial 0.259, hips 0.191
# of stature between the outermost points): what a level seen on one side only is off by.
LEVEL_HALF_WIDTH = np.array([0.03, 0.105, 0.055, 0.055, 0.055])

# Standard deviation of annotators' keypoints over the square root of a person's area (COCO keypoint
# evaluation, table of sigmas); good detectors are about as precise on people seen well.
COCO_SIGMA = np.array(
    [.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062,
     .107, .107, .087, .087, .089, .089]
)  # fmt: skip
PIXEL_NOISE_PX = 1.0  # what blur and sampling add: detectors on rendered people of 30 to 600 px
AREA_ROOT_OF_STATURE = 0.3  # square root of a standing person's segmented area over the height

# Grounds that count as flat are not: pavements fall by 1-2 % so that rain runs off. Standard deviation of
# a place's height above the plane, over its distance.
GROUND_GRADE_SD = 0.01

ADULT_STATURE_M = 1.70
STATURE_PRIOR_M = (ADULT_STATURE_M, 0.10)  # mean and standard deviation of somebody in a crowd
ADULT_STATURE_SD_M = 0.095  # women and men together (NCD-RisC 2016: sexes 0.07 each, 0.13 apart)
# How far the mean of one crowd may be from that: nations and sexes, and how many walk (a walking body is
# 6 % shorter from shoulders to ankles than a standing one).
MEAN_STATURE_SD_M = 0.04
LOG_STATURE_SD = ADULT_STATURE_SD_M / ADULT_STATURE_M
UPRIGHT_LEAN_SD_RAD = math.radians(3.0)
