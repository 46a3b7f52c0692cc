"""A folder of pictures, and one table of all.

    python docs/examples/06_batch.py [PICTURE OR FOLDER]

With a single picture, a folder of two is made here: that picture, and an empty file, to show that a picture
that fails does not stop the others. Shows: `crowd3d batch`, its table batch.csv, and scenes read back from it.
"""

import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import crowd3d

DEMO = Path(__file__).parents[1] / "demo" / "plaza.jpg"


def main(given: Path) -> None:
    """Runs the batch and reads its results."""
    with tempfile.TemporaryDirectory() as temporary:
        photos, out = given, Path(temporary) / "results"
        if given.is_file():
            photos = Path(temporary) / "photos"
            photos.mkdir()
            shutil.copy(given, photos / given.name)
            (photos / "torn.jpg").touch()
        command = [sys.executable, "-m", "crowd3d", "batch", str(photos), "-o", str(out)]
        done = subprocess.run([*command, "--config", "fast", "--quiet"], check=False)
        print(f"exit code {done.returncode}: 0 if all went well, 2 if some pictures failed")
        with open(out / "batch.csv", newline="", encoding="utf-8") as table:
            for row in csv.DictReader(table):
                if row["error"]:
                    print(f"{row['picture']}: failed, {row['error']}")
                    continue
                scene = crowd3d.Scene.load(out / row["folder"])
                print(f"{row['picture']}: {len(scene.people)} people, {row['seconds']} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO)
