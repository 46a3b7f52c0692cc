"""Where the joints of a standing person are, as fractions of stature.

Source: R. Drillis and R. Contini, Body Segment Parameters, 1966 (as reproduced in D. Winter, Biomechanics and
Motor Control of Human Movement, fig. 4.1): shoulder 0.818, hip 0.530, knee 0.285, ankle 0.039 of stature.
"""

SHOULDER_HEIGHT = 0.818
HIP_HEIGHT = 0.530
KNEE_HEIGHT = 0.285
ANKLE_HEIGHT = 0.039

# Standard deviations, of stature: adults of both sexes; posture (knees, head, shoes) adds to it.
STATURE_SD = 0.055
POSTURE_SD = 0.035
# Standing and walking people deviate so far from the vertical, hip to shoulder and stride together.
LEAN_SD_RAD = 0.055
