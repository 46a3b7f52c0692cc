"""Gigapixel pictures in tiles: reading, planning, merging what they show, resuming."""

from .errors import ImageError, JournalError, MergeError, PlanError, TilingError
from .fragments import suppress_fragments, without_pairs
from .journal import Journal, record_key
from .merge import Merged, merge_detections, view_quality
from .planner import Tile, plan_tiles, scout_tiles
from .rows import geometric_rows, plan_rows
from .similarity import COCO_SIGMAS, box_iou
from .source import DEFAULT_MAX_PIXELS, ImageSource, open_image

__all__ = [
    "COCO_SIGMAS",
    "DEFAULT_MAX_PIXELS",
    "ImageError",
    "ImageSource",
    "Journal",
    "JournalError",
    "MergeError",
    "Merged",
    "PlanError",
    "Tile",
    "TilingError",
    "box_iou",
    "geometric_rows",
    "merge_detections",
    "open_image",
    "plan_rows",
    "plan_tiles",
    "record_key",
    "scout_tiles",
    "suppress_fragments",
    "view_quality",
    "without_pairs",
]
