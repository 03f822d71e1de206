"""The site: `python -m sphinx docs site` builds it, without a network, from these pages and from docstrings.

What Sphinx can't do by itself stands in `site_parts.py`, `live_pages.py` and `api_parts.py`.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # the last three extensions

project = "sheetgpt"
author = "the authors of sheetgpt"
release = version = version_of("sheetgpt")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "site_parts",
    "live_pages",
    "api_parts",
]
exclude_patterns = ["**/.ipynb_checkpoints"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(numpy|pandas|concurrent|collections|pathlib|typing|enum)\..*|DTypeLike")
]  # others'

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence"]
myst_heading_anchors = 4  # links such as diff.md#the-sides, as on a forge
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300

default_role = "code"  # one backtick in a docstring is code, as it is on a page
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"DTypeLike": "DTypeLike"}
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = "sheetgpt"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {  # the accent of the workbook and the page
    "light_css_variables": {"color-brand-primary": "#2a7076", "color-brand-content": "#2a7076"},
    "dark_css_variables": {"color-brand-primary": "#6cc3c6", "color-brand-content": "#6cc3c6"},
}
html_copy_source = html_show_sourcelink = False
