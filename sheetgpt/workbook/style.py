"""How a workbook looks: quiet colours, fonts, number formats, column widths. Where things stand belongs in `places`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INK, MUTED, LINE, HEAD_FILL, ACCENT, LINK = "#1F2933", "#7B8794", "#D9DFE5", "#F4F6F8", "#2F7F86", "#2B6CB0"
INPUT_FILL, PARAMETER_FILL, STAGE_FILL = "#FFEFBF", "#DCEBD1", "#E3ECF8"  # the live workbook's kinds of cells and tabs
BLANK_FILL = "#FFFFFF"  # where nothing stands
HIDDEN = ";;;"  # a number format that shows nothing
WARNING = "#B4501E"
CHANGED_FILL = "#FFD54F"  # of cells that a person changed

POSITION_WIDTH, TOKEN_WIDTH, NUMBER_WIDTH = 10, 16, 8
LABEL_WIDTHS = (POSITION_WIDTH, TOKEN_WIDTH)
PALE = "#A9B4C0"
SHARE, AGAINST = "#4FA3A5", "#E0A96D"  # what is large, and what is large the other way
LIGHT_BELOW, LIGHT_ABOVE = "#9CCFD0", "#F0CFA4"  # the same under numbers that are to be read
MASK = "#E4E9ED"  # of a weight that is 0 because its token lies ahead
SEEN = 1e-9  # the least weight that is no 0

BASE = {"font_name": "Calibri", "font_size": 10, "font_color": INK, "valign": "vcenter"}
CHART_TITLE = {"size": 11, "color": INK, "bold": True}  # the font
FIRST = {"top": 1, "top_color": LINE}  # of a tab's stages in the index
FORMATS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "title": {"bold": True, "font_size": 18},
    "subtitle": {"font_color": MUTED, "font_size": 11},
    "tab title": {"bold": True, "font_size": 13, "bottom": 1, "bottom_color": LINE},
    "tab line": {"bottom": 1, "bottom_color": LINE},
    "link": {"font_color": LINK},
    "tab link": {"font_color": LINK, "bottom": 1, "bottom_color": LINE},
    "ribbon": {"font_color": LINK, "font_size": 8, "bg_color": HEAD_FILL, "text_wrap": True, "valign": "top"},
    "ribbon line": {"bg_color": HEAD_FILL, "bottom": 1, "bottom_color": LINE},
    "way": {"font_color": LINK, "font_size": 9, "bg_color": HEAD_FILL, "valign": "top"},
    "stage link": {"bold": True, "font_color": ACCENT, "font_size": 11},
    "stage link low": {"bold": True, "font_color": ACCENT, "font_size": 11, "valign": "bottom"},
    "stage title low": {"bold": True, "font_size": 11, "valign": "bottom"},
    "prompt": {"bold": True, "font_size": 14, "num_format": "@"},
    "answer": {"bold": True, "font_size": 14, "font_color": ACCENT, "num_format": "@"},
    "answer share": {"bold": True, "font_size": 14, "font_color": ACCENT, "num_format": "0.00%", "align": "left"},
    "box": {"num_format": "@", "bold": True, "indent": 1},
    "box position": {"num_format": "0", "align": "left", "font_color": MUTED, "font_size": 8, "shrink": True},
    "box id": {"num_format": "@", "align": "left", "font_color": MUTED, "font_size": 8},
    "picture": {"num_format": ";;;", "border": 1, "border_color": BLANK_FILL},
    "picture row": {"num_format": "@", "align": "right", "font_size": 9},
    "picture column": {"num_format": "@", "rotation": 90, "align": "center", "valign": "bottom", "font_size": 9},
    "picture head": {"font_color": LINK, "font_size": 9},
    "bar name": {"num_format": "@", "align": "left"},
    "amount": {"num_format": "#,##0", "align": "left"},
    "total": {"bold": True, "num_format": "#,##0", "align": "left", "top": 1, "top_color": LINE},
    "below sample": {"bg_color": LIGHT_BELOW, "align": "center", "font_size": 9},
    "above sample": {"bg_color": LIGHT_ABOVE, "align": "center", "font_size": 9},
    "share sample": {"bg_color": SHARE, "align": "center", "font_size": 9},
    "mask sample": {"bg_color": MASK, "font_color": PALE, "align": "center", "font_size": 9},
    "typed sample": {"bg_color": CHANGED_FILL, "bold": True, "font_color": WARNING, "align": "center", "font_size": 9},
    "stage": {"bold": True, "font_color": ACCENT, "font_size": 11},
    "stage title": {"bold": True, "font_size": 11},
    "shape": {"font_color": MUTED},
    "words": {"font_color": MUTED, "italic": True},
    "key": {"font_color": MUTED},
    "first plain": FIRST,
    "first shape": {"font_color": MUTED, **FIRST},
    "first words": {"font_color": MUTED, "italic": True, **FIRST},
    "first link": {"font_color": LINK, **FIRST},
    "text": {"num_format": "@"},
    "value": {"align": "left"},
    "strong": {"bold": True, "num_format": "@"},
    "table head": {"bold": True, "bg_color": HEAD_FILL, "bottom": 1, "bottom_color": LINE},
    "head": {"font_color": MUTED, "bg_color": HEAD_FILL, "align": "right", "num_format": "0"},
    "head token": {"font_color": MUTED, "bg_color": HEAD_FILL, "align": "right", "num_format": "@"},
    "head left": {"font_color": MUTED, "bg_color": HEAD_FILL, "indent": 1},
    "head name": {"font_color": MUTED, "bg_color": HEAD_FILL, "italic": True, "align": "right"},
    "position": {"font_color": MUTED, "bg_color": HEAD_FILL, "align": "right", "num_format": "0"},
    "token": {"bg_color": HEAD_FILL, "num_format": "@", "align": "left", "indent": 1},
    "number": {"num_format": "0.000"},
    "probability": {"num_format": "0.0000%"},
    "rank": {"num_format": "0"},
    "piece": {"align": "center"},
    "pairs": {"font_color": MUTED, "align": "center"},
    "best score": {"font_color": ACCENT, "bold": True, "align": "center"},
    "merged": {"bg_color": HEAD_FILL, "align": "center"},
    # training
    "exact": {"num_format": "General", "align": "left"},
    "gradient": {"num_format": "0.0000"},
    "live gradient": {"bg_color": STAGE_FILL, "num_format": "0.0000"},
    "nudged": {"num_format": "0.00000"},
    "live nudged": {"bg_color": STAGE_FILL, "num_format": "0.00000"},
    "loss value": {"num_format": "0.0000", "align": "left"},
    "fine": {"num_format": "0.000000"},
    "size": {"num_format": "0E+0"},
    "stage link lined": {"bold": True, "font_color": ACCENT, "font_size": 11, "underline": 1},
    "exact input": {"bg_color": INPUT_FILL, "num_format": "General", "border": 1, "border_color": LINE},
    "live loss": {"bold": True, "font_color": ACCENT, "num_format": "0.0000", "align": "left"},
    "nudged loss": {"bold": True, "font_color": ACCENT, "num_format": "0.00000", "align": "left"},
    # the live workbook
    "input": {"bg_color": INPUT_FILL, "num_format": "@", "border": 1, "border_color": LINE},
    "input number": {"bg_color": INPUT_FILL, "num_format": "0", "border": 1, "border_color": LINE, "align": "center"},
    "input matrix": {"bg_color": INPUT_FILL, "num_format": "0.000"},
    "parameter": {"bg_color": PARAMETER_FILL, "num_format": "0.000"},
    "parameter text": {"bg_color": PARAMETER_FILL, "num_format": "@"},
    "live number": {"bg_color": STAGE_FILL, "num_format": "0.000"},
    "live probability": {"bg_color": STAGE_FILL, "num_format": "0.0000%"},
    "live count": {"bg_color": STAGE_FILL, "num_format": "0"},
    "live piece": {"bg_color": STAGE_FILL, "align": "center"},
    "live pairs": {"bg_color": STAGE_FILL, "font_color": MUTED, "align": "center"},
    "live best score": {"bg_color": STAGE_FILL, "font_color": ACCENT, "bold": True, "align": "center"},
    "parameter count": {"bg_color": PARAMETER_FILL, "num_format": "0"},
    "note line": {"font_color": WARNING},
    "note lines": {"font_color": WARNING, "text_wrap": True},
    "live text": {"bg_color": STAGE_FILL, "indent": 1},
    "live strong": {"bg_color": STAGE_FILL, "bold": True},
    "legend input": {"bg_color": INPUT_FILL, "border": 1, "border_color": LINE},
    "legend parameter": {"bg_color": PARAMETER_FILL, "border": 1, "border_color": LINE},
    "legend stage": {"bg_color": STAGE_FILL, "border": 1, "border_color": LINE},
    "share": {"num_format": "0.00%", "align": "left"},
    "message": {"bold": True, "font_color": ACCENT},
    "line": {"font_size": 11},
}

SHARE_SCALE = {  # of numbers from 0 to 1
    "type": "2_color_scale",
    "min_type": "num",
    "max_type": "num",
    "min_value": 0,
    "max_value": 1,
    "min_color": "#FFFFFF",
    "max_color": SHARE,
}
ATTENTION_SCALE = {  # of weights, of which those that are exactly 0 are masked
    "type": "3_color_scale",
    "min_type": "num",
    "mid_type": "num",
    "max_type": "num",
    "min_value": 0,
    "mid_value": SEEN,
    "max_value": 1,
    "min_color": MASK,
    "mid_color": "#FFFFFF",
    "max_color": SHARE,
}


def value_scale(largest: float, zero: str = BLANK_FILL) -> dict[str, Any]:
    """Light colours of numbers about 0, which has the colour `zero`, up to `largest` in size."""
    return {**gradient_scale(largest), "min_color": LIGHT_BELOW, "mid_color": zero, "max_color": LIGHT_ABOVE}


SHARE_BANDS = tuple(  # the same in bands: (from, colour); a rule can be kept from some cells, a scale can't
    (low, "#{:02X}{:02X}{:02X}".format(*(round(255 - (255 - part) * strength) for part in (0x4F, 0xA3, 0xA5))))
    for low, strength in ((0.8, 0.9), (0.6, 0.7), (0.4, 0.5), (0.2, 0.3), (0.05, 0.12))
)


def gradient_scale(largest: float) -> dict[str, Any]:
    """Colours of numbers about 0, which stays white, up to `largest` in size."""
    colours = {"min_color": SHARE, "mid_color": "#FFFFFF", "max_color": AGAINST}
    ends = {"min_value": -largest, "mid_value": 0, "max_value": largest}
    return {"type": "3_color_scale", "min_type": "num", "mid_type": "num", "max_type": "num", **ends, **colours}
