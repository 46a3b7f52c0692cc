"""facing-s: stages of a published network, its importer, and the readout of where people face."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from crowd3d import models
from crowd3d.detect import facing
from crowd3d.errors import ModelError
from crowd3d.files.weights import metadata_of, tensors_hash, write_weights
from crowd3d.models import catalog, import_movenet
from crowd3d.models.crowd3ds import Crowd3dS
from crowd3d.models.engine import torch_engine
from crowd3d.models.facing_s import STRIDE, FacingTrunk
from crowd3d.models.mobilenet import MobileNetV2, SameConv, widened


def _published(network: torch.nn.Module, seed: int = 0) -> dict[str, np.ndarray]:
    """Tensors as a TensorFlow.js file would hold them: kernels are height, width, in, out."""
    rng = np.random.default_rng(seed)
    state, tensors = network.state_dict(), {}
    for layer, (weight, bias) in import_movenet.published_names(network).items():
        out, inside, height, width = state[f"{layer}.weight"].shape
        shape = (height, width, inside, out)
        if layer.endswith("depthwise"):
            shape = (height, width, out, inside)
        tensors[weight] = rng.normal(0, 0.1, shape).astype(np.float16)
        if bias is not None:
            tensors[bias] = rng.normal(0, 0.1, out).astype(np.float16)
    return tensors


def _write_tfjs(tensors: dict[str, np.ndarray], path) -> None:
    weights = [
        {
            "name": name,
            "shape": list(value.shape),
            "dtype": "float32",
            "quantization": {"dtype": "float16"},
        }
        for name, value in tensors.items()
    ]
    path.with_suffix(".bin").write_bytes(b"".join(v.tobytes() for v in tensors.values()))
    manifest = {"weightsManifest": [{"paths": [f"{path.stem}.bin"], "weights": weights}]}
    path.write_text(json.dumps(manifest))


@given(st.integers(1, 400), st.sampled_from([0.35, 0.5, 0.75, 1.0, 1.3, 1.5, 1.75]))
def test_widened_channels_are_near_and_divisible(channels, width):
    found = widened(channels, width)
    assert found % 8 == 0 and found >= 0.9 * min(channels * width, found)
    assert found >= 0.9 * channels * width and abs(found - channels * width) <= 8


def test_the_paper_and_the_published_networks_agree_on_channels():
    assert MobileNetV2(1.0).stage_channels == [16, 24, 32, 64, 96, 160, 320]
    assert Crowd3dS().trunk.stage_channels == [24, 40, 48, 96, 144, 240, 480]
    assert FacingTrunk().stage_channels == [32, 40, 56, 112, 168]


def test_a_stage_is_what_the_stages_before_it_lead_to():
    torch.manual_seed(0)
    network, x = MobileNetV2(0.35).eval(), torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        levels = network.each_stage(x)
        y = torch.nn.functional.relu6(network.stem(x))
        for stage, level in zip(network.stages, levels, strict=True):
            y = stage(y)
            torch.testing.assert_close(level, y, atol=0, rtol=0)
    assert [64 // level.shape[2] for level in levels] == [2, 4, 8, 16, 16, 32, 32]


def test_same_padding_is_one_sided_at_stride_two():
    convolution = SameConv(1, 1, 3, 2, 0, bias=False)
    picture = torch.arange(16.0).reshape(1, 1, 4, 4)
    with torch.inference_mode():
        convolution.weight[:] = 0
        convolution.weight[..., 0, 0] = 1  # the first tap meets the first pixel
        torch.testing.assert_close(convolution(picture)[0, 0], torch.tensor([[0.0, 2], [8, 10]]))


@pytest.mark.parametrize("height,width", [(256, 160), (64, 96)])
def test_features_have_a_cell_for_every_sixteen_pixels(height, width):
    network = models.build("facing-s")
    with torch.inference_mode():
        features = network(torch.full((2, 3, height, width), 127.0))
    assert features.shape == (2, 168, height // STRIDE, width // STRIDE)
    assert torch.isfinite(features).all()


def test_the_embedded_weights_are_small_and_those_the_readout_was_trained_with():
    network = facing.network(torch_engine())
    assert network.weights_hash == facing.load().network
    assert network.weights_hash == tensors_hash(models.build("facing-s"))
    file = catalog.weights_file("facing-s")
    assert "Thunder" in metadata_of(file)["origin"]
    assert len(file.read_bytes()) < 3.3e6
    with pytest.raises(ModelError, match="does not hold"):
        models.build("facing-s", _other_weights())


def test_the_readout_is_read_once_and_again_if_its_file_has_changed(tmp_path):
    assert facing.load() is facing.load()
    embedded = catalog.embedded_file("facing").read_bytes()
    assert metadata_of(catalog.embedded_file("facing"))["network"] == facing.load().network
    file = tmp_path / "facing.safetensors"
    file.write_bytes(embedded)
    first = facing.load(file)
    assert facing.load(file) is first is not facing.load()
    tensors = {name: 2 * value for name, value in first.state_dict().items()}
    write_weights(file, tensors, {"network": "another"})
    assert facing.load(file).network == "another" and first.network != "another"
    write_weights(file, {"mean": torch.zeros(3)}, {"network": "n"})
    with pytest.raises(ModelError, match="does not hold a facing readout"):
        facing.load(file)


def _other_weights():
    return str(catalog.weights_file("rootnet-s"))


def test_batches_and_single_windows_agree():
    network = facing.network(torch_engine())
    pixels = np.random.default_rng(1).integers(0, 255, (3, 256, 160, 3), np.uint8)
    together = facing.both_ways(network, pixels)
    alone = facing.both_ways(network, pixels[1:2])
    assert together.shape == (3, 2, facing.N_FEATURES)
    torch.testing.assert_close(together[1:2], alone, atol=1e-3, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 3))
def test_parts_of_the_body_are_means_by_area(seed, channels):
    """The naive twin: cells cut into their pixels, then means over the pixels of a part."""
    width, height = (side // STRIDE for side in facing.WINDOW_PX)
    rng = np.random.default_rng(seed)
    cells = torch.from_numpy(rng.normal(size=(2, channels, height, width)))
    factor = 10 * STRIDE  # tenths of pixels, as borders of parts lie between pixels
    pixels = cells.numpy().repeat(factor, axis=2).repeat(factor, axis=3)
    top, middle = (facing.WINDOW_PX[1] - facing.PERSON_PX) / 2, facing.WINDOW_PX[0] / 2
    found = facing.body_features(cells).reshape(2, 4, 3, channels).numpy()
    for k in range(4):
        for j in range(3):
            rows = [round(10 * (top + x * facing.PERSON_PX)) for x in facing.BANDS[k : k + 2]]
            columns = [
                round(10 * (middle + x * facing.PERSON_PX)) for x in facing.COLUMNS[j : j + 2]
            ]
            naive = pixels[:, :, slice(*rows), slice(*columns)].mean(axis=(2, 3))
            np.testing.assert_allclose(found[:, k, j], naive, atol=1e-9)


@pytest.mark.parametrize("name", ["crowd3d-s", "facing-s", "pose-s"])
def test_published_tensors_come_back(tmp_path, name):
    network = models.build(name, None)
    tensors = _published(network)
    _write_tfjs(tensors, tmp_path / "model.json")
    out = tmp_path / "out.safetensors"
    arguments = [name, str(tmp_path / "model.json"), str(out)]
    result = CliRunner().invoke(import_movenet.main, arguments)
    assert result.exit_code == 0, result.output
    state = models.build(name, out).state_dict()
    for layer, (weight, bias) in import_movenet.published_names(network).items():
        ours, theirs = state[f"{layer}.weight"].numpy(), tensors[weight].astype(np.float32)
        assert np.sort(ours, axis=None).tobytes() == np.sort(theirs, axis=None).tobytes()
        assert ours[0, 0, 1 % ours.shape[2], 0] == theirs[1 % ours.shape[2], 0, 0, 0]
        if bias is not None:
            np.testing.assert_array_equal(state[f"{layer}.bias"].numpy(), tensors[bias])
    first = out.read_bytes()
    assert CliRunner().invoke(import_movenet.main, arguments).exit_code == 0
    assert out.read_bytes() == first


def test_tensors_that_are_missing_or_misshapen_are_named():
    network = FacingTrunk()
    tensors = _published(network)
    stem = import_movenet.published_names(network)["stem"][0]
    with pytest.raises(Exception, match=r"do not fit: \['stem.weight'\]"):
        import_movenet.convert(tensors | {stem: tensors[stem][..., :8]}, network)
    del tensors[stem]
    with pytest.raises(Exception, match=r"missing.*Conv1"):
        import_movenet.convert(tensors, network)
