"""crowd3d view: a finished scene in words and in the browser."""

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.scenes import two_level_scene

from crowd3d import body as bodies
from crowd3d.cli import main
from crowd3d.commands import view as module
from crowd3d.export import write_all


@pytest.fixture
def opened(monkeypatch):
    """Addresses that a browser was asked to show."""
    asked = []
    monkeypatch.setattr(module.webbrowser, "open", lambda url: asked.append(url) or True)
    return asked


@pytest.fixture
def folder(tmp_path):
    scene = two_level_scene(3)
    scene.diagnostics["warnings"] = ["the focal length is a guess"]
    grey = np.full((100, 240, 3), 128, np.uint8)
    write_all(scene, grey, tmp_path / "my scene", bodies.load("open", "crowd"))
    return tmp_path / "my scene"


def test_the_page_is_opened_and_the_scene_told(folder, opened):
    result = CliRunner().invoke(main, ["view", str(folder)])
    assert result.exit_code == 0 and "square.jpg: 3 people, camera 5.0 m" in result.output
    assert "warning: the focal length is a guess" in result.output
    assert opened == [(folder / "report.html").as_uri()] and "my%20scene" in opened[0]


def test_without_a_browser_it_only_tells(folder, opened, monkeypatch):
    result = CliRunner().invoke(main, ["view", str(folder), "--no-browser"])
    assert result.exit_code == 0 and not opened
    monkeypatch.setattr(module.webbrowser, "open", lambda url: False)
    result = CliRunner().invoke(main, ["view", str(folder)])
    assert result.exit_code == 3 and "--no-browser" in result.output


def test_what_is_no_scene_is_a_mistake(folder, tmp_path, opened):
    for missing in ("people.npz", "report.html"):
        (folder / missing).unlink()
        result = CliRunner().invoke(main, ["view", str(folder)])
        assert result.exit_code == 2 and "Traceback" not in result.output
    assert CliRunner().invoke(main, ["view", str(tmp_path / "nowhere")]).exit_code == 2
    assert not opened
