"""The sentences of docs/benchmarks.md: what each table is about, how to read it, what follows from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """One heading of the page.

    Attributes:
        results: names of files in benchmarks/results/ whose tables stand here, in that order.
        before, after: Markdown around them.
    """

    title: str
    results: tuple[str, ...]
    before: str
    after: str = ""


INTRODUCTION = """\
# Benchmarks

Every table here was printed by the command below it, with the version and on the machine that stand there. A name
in capitals in a command is a folder or file of your own; [benchmarks/README.md](../benchmarks/README.md) says where
the data come from and how long each command takes. Photographs and footage named here are not part of the
repository. A "-" is a number that nobody measured; a column with nothing but those is left out.

Metrics are defined in [metrics.md](metrics.md). Focal length, height (of the camera above the ground) and normal (of
the ground) are errors against the truth, and "position / distance" is the median error of a person's place, divided
by the distance from the camera."""

SECTIONS = (
    Section(
        "Photographs",
        ("photographs",),
        """\
What was found was compared with the photograph by eye; the true focal lengths are those of the data sets.""",
        """\
On the street at night, of the 19 people seen from head to foot, limbs lie on limbs (but for one trailing foot) and
the facing is right for all: the furthest off, a man in a dark suit, by about 20 degrees. Of 11 half hidden ones two
face elsewhere. One of the 31 is a blend of two people behind a lamp.""",
    ),
    Section(
        "A calibrated static camera",
        ("pets",),
        """\
PETS 2009 S2.L1, view 1: every frame alone tells how many people are found, and then camera and ground are solved
from the people of all frames and the straight edges of the place. Ground positions ("feet") are compared after one
common scale. Both frames, ours and the calibration's, are brought together by the rays of the picture's pixels; the
last two columns do without that. The calibration's own frame looks along a principal point 60 px off the centre,
which [no picture of this place can tell](principal_point.md).""",
        """\
Of the 14 others who were found in version 0.1.0, 5 are walkers who are not annotated; the rest are bollards and a
sign, at most one false person a frame.""",
    ),
    Section(
        "Large pictures",
        ("renders",),
        """\
Three renders of our own. The large picture is `crowd3d synth --seed 21 --people 600 --size 20000x10000 --preset
largecrowd`, which takes 5 CPU minutes and 1.5 GB to draw. The demo panorama is `docs/demo/plaza.jpg`, which
`make demo` reconstructs.""",
        """\
The demo panorama shows 120 people from 40 px up; of the 85 who are over 60 px and visible, 92 % are found.""",
    ),
    Section(
        "Are renders as hard as photographs?",
        ("realism",),
        """\
The share of clearly visible people over 60 px whom the default network finds, with the same tiles, thresholds and
matching everywhere. COCO counts people by the keypoints that are seen, PETS by boxes that nobody nearer hides.""",
    ),
    Section(
        "Whole scenes",
        ("syncrowd",),
        """\
Twelve rendered crowds that nothing was tuned on, with the default settings. People count as wanted over 60 px and
from 30 % visible. The `largecrowd` scenes look like those of the data set LargeCrowd, `terraced` has several levels
of which one plane is fitted, and `dense` shows 1,000 people.""",
        """\
Those who are missed stand half hidden behind somebody. People whom one tile of the network shows side by side count
as two however much they overlap, which is worth 2 points of recall. Without the straight edges of buildings and
posts, camera and places are much less certain.""",
    ),
    Section(
        "What each stage costs",
        ("syncrowd_ways",),
        """\
Means over five of the twelve scenes. `default`, `fast` and `accurate` are the presets. With the *true camera* the
ground is still fitted; on the *true ground* camera and ground are known. *True keypoints* replace the detector, and
camera and ground are fitted to them alone, without straight edges; with *true keypoints and ground* only poses,
statures and places are left to do. *Boxes and constant focal* is the plain baseline: every box is a person of
1.70 m before a camera whose focal length is the picture's diagonal, person by person, without a common ground.""",
    ),
    Section(
        "What each component adds",
        ("components",),
        """\
Five rendered crowds in which about three of ten people overlap somebody. The first row is the network without any
component, each further row adds one of them, and the last has all of them together, of two depth priors the first.
Networks whose weights cannot be shipped are left out. The default settings are those with posterior fusion, which
lifts every look at a person and adds up what the poses say. The refiner is `--refine crowdnet-s`, the depth priors
are `--depth-prior body` and `--depth-prior rootnet-s`. The second column is the error of people who overlap.""",
        """\
The refiner is off by default: trained on renders, it helps there; of 24 annotated people in photographs it replaced
7, and their bodies lay slightly worse on the annotation (OKS 0.779 -> 0.767). The depth prior is off because its gain
is within the noise: a body's size is what camera and ground are fitted to anyway. The learned one tells the distance
of seated, small and cut people twice as well as a constant does (held-out renders: error of the logarithm 0.115
against 0.245).""",
    ),
    Section(
        "What wrong 2D poses cost the refiner",
        ("refiner_robustness",),
        """\
The same people of pictures that training never saw, told by 2D poses with different errors. "Rise" is against the
true 2D pose of the same people. Why it costs so much is in [refiner_robustness.md](refiner_robustness.md).""",
    ),
    Section(
        "Camera and ground from people",
        ("ground_camera",),
        """\
Camera and ground from generated people, 300 of them unless the name says otherwise (`phone`: 40): median errors over
160 scenes, so that a ratio is known to a tenth. In brackets the ratio to the Cramer-Rao bound, which is the error of
the best estimator there can be. Beside them stands a clean rewrite of the search that Crowd3D (CVPR 2023) was released
with, over 40 scenes. A share in a name is that of outliers: people who lean by 20 degrees, sit, or are children.
"Distances off by" is the mean relative error of the distances between people. `terraced` has a step of 2.7 m and
`platform` one of 1.5 m; height is then that above the worse level, and "right level" says how many people stand on
theirs. `largecrowd` has the field of view of a LargeCrowd picture.""",
    ),
    Section(
        "Everybody solved together",
        ("scene_refine",),
        """\
Everybody's place, stature and posture solved together (`refine_scene: true`), on generated scenes, before and after.
No picture tells how tall a crowd is on average, hence the errors after one common scale. "Bent" is who is seated or
leaning. "In 50 %" and "in 90 %" say how often the truth lies in the ellipses that claim to hold 50 and 90 %, "worse"
in how many scenes the median error grew (after one common scale), and "deepest" how far the worst pair of torsos is
within one another. Times are of the processor. A *poor lift* is unsure of people who sit or lean; a *fitted
camera* is fitted to the same people.""",
        """\
With a known camera no scene gets worse; with one fitted to the same people some do, which is
[as often as luck explains](refinement.md).""",
    ),
    Section(
        "Poses",
        ("lift", "lift_real"),
        """\
Poses on motion that training never saw (CMU subject 03 and half of DeepMimic), with a detector's noise. `lift` is
what crowd3d uses. The two rows that were trained for 4,500 steps are the same network and differ in what they are
trained to say: a matrix Fisher distribution or a rotation in six numbers. Below is the same on upright people in real
photographs with measured joints, with our own keypoints.""",
    ),
    Section(
        "Where people face",
        ("headings",),
        """\
Where people face, with camera and ground as they are, in four rendered crowds that nothing was chosen by, each as
rendered and as through a poor camera (people 70 px tall, dim, coarse JPEG). A second look at each person reads the
heading off a network of its own, with its certainty, and the lift hears it.""",
    ),
    Section(
        "A miniature LargeCrowd",
        ("mini_largecrowd",),
        """\
12 pictures of 477 people, made by `crowd3d synth --preset largecrowd-mini -o mini`: one camera a scene against one a
picture.""",
        """\
The bodies of `predict.json` lie within 2.2 % of a person's height of the true keypoints (median).""",
    ),
    Section(
        "Published networks",
        ("parity",),
        """\
Six published networks, rebuilt here, against reference outputs of the originals.""",
    ),
    Section(
        "Speed",
        ("body_speed", "evaluate_speed", "patch_speed", "synth_speed"),
        """\
How long it takes to skin 1,000 bodies; to score 100 pictures of 500 people, where "everything" is with all tables of
`crowd3d evaluate`, of which posing the bodies ("bodies to keypoints") is a part; to look at a patch and to run the
whole pipeline with our network and with Crowd3DNet (random weights, two threads); and to draw crowds.""",
    ),
)
