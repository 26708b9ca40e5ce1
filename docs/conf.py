"""Sphinx: the Markdown pages of this folder as HTML, `make docs`."""

from requiretls_plugin import __version__

project = "requiretls-plugin"
author = "the authors of requiretls-plugin"
version = release = __version__

extensions = ["myst_parser"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "conformance/README.md"]
html_theme = "alabaster"
html_theme_options = {"page_width": "1100px"}
