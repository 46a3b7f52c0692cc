"""Gigapixel pictures in tiles: reading, planning, merging what they show, resuming."""

from tiling.coverage import Band, height_bands
from tiling.errors import (
    ImageError,
    JournalError,
    MergeError,
    PlanError,
    ResourceError,
    TilingError,
)
from tiling.fragments import containment, suppress_fragments, without_pairs
from tiling.journal import Journal, record_key
from tiling.merge import Merged, merge_detections, view_quality
from tiling.planner import Tile, plan_tiles, scout_tiles
from tiling.rows import geometric_rows, plan_rows
from tiling.similarity import COCO_SIGMAS, box_iou
from tiling.source import DEFAULT_MAX_PIXELS, ImageSource, Picture, open_image, thumbnail

__all__ = [
    "COCO_SIGMAS",
    "DEFAULT_MAX_PIXELS",
    "Band",
    "ImageError",
    "ImageSource",
    "Journal",
    "JournalError",
    "MergeError",
    "Merged",
    "Picture",
    "PlanError",
    "ResourceError",
    "Tile",
    "TilingError",
    "box_iou",
    "containment",
    "geometric_rows",
    "height_bands",
    "merge_detections",
    "open_image",
    "plan_rows",
    "plan_tiles",
    "record_key",
    "scout_tiles",
    "suppress_fragments",
    "thumbnail",
    "view_quality",
    "without_pairs",
]
