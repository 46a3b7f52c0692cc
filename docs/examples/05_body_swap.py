"""The same scene in another body, such as your SMPL file.

    python docs/examples/05_body_swap.py [PICTURE] [SMPL_NEUTRAL.npz]

Without a file of yours, a stand-in is written here: the embedded body with its ten shape directions in
another order, which is a body whose betas mean something else. Shows: `body.load` with a file, and `rebody`,
which keeps everybody's pose, stature and foothold.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import crowd3d
from crowd3d import body
from crowd3d.body.arrays import read_npz
from crowd3d.export.rebody import rebody

DEMO = Path(__file__).parents[1] / "demo" / "plaza.jpg"


def stand_in(file: Path) -> None:
    """A body in SMPL's file layout that differs from `open` in what its betas mean."""
    arrays = read_npz(Path(body.__file__).with_name("open_crowd.npz"))
    np.savez(
        file,
        v_template=arrays.v_template,
        shapedirs=arrays.shapedirs[:, :, ::-1],
        J_regressor=arrays.j_regressor,
        weights=arrays.weights,
        kintree_table=np.stack([arrays.parents, np.arange(24)]),
        f=arrays.faces,
    )


def main(picture: Path, file: Path | None) -> None:
    """Reconstructs in the embedded body, then tells the scene in another one."""
    scene = crowd3d.reconstruct(picture, config="fast")
    with tempfile.TemporaryDirectory() as folder:
        if file is None:
            file = Path(folder) / "stand_in.npz"
            stand_in(file)
        swapped = rebody(scene, body.load(scene.body, "crowd"), body.load(file))
    print(f"{len(scene.people)} people in the body {scene.body!r}, now in {swapped.body!r}")
    before, after = (s.people.filter(s.people.placed) for s in (scene, swapped))
    if len(before):
        change_m = np.abs(after.stature_m - before.stature_m)
        step_m = np.linalg.norm(after.hvip_m - before.hvip_m, axis=1)
        same = np.array_equal(after.pose, before.pose)
        print(
            f"statures change by {1000 * change_m.max():.1f} mm at most, poses are the same: {same}"
        )
        print(f"footholds move by {100 * np.median(step_m):.1f} cm (median)")


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO,
        Path(sys.argv[2]) if len(sys.argv) > 2 else None,
    )
