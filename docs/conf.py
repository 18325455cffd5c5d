"""The documentation site: ``python -m sphinx -W -b html docs site``."""

import warnings
from pathlib import Path

import numbaconv as nbc

ROOT = Path(__file__).parent.parent

project = "numbaconv"
author = "The numbaconv developers"
project_copyright = author
version = release = nbc.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "sg_execution_times.rst", "gallery/*.ipynb", "gallery/*.py"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3
# Tables of sources and scripts are links to files of the repository.
suppress_warnings = ["config.cache"]

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say it in words
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
intersphinx_mapping = {}

sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples" / "gallery"),
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "min_reported_time": 1,
    "image_scrapers": ("matplotlib",),
    "reference_url": {"numbaconv": None},
}
# Operators of the evaluator that work out what they then drop.
warnings.filterwarnings("ignore", message=".*encountered in.*", category=RuntimeWarning)

html_theme = "pydata_sphinx_theme"
html_title = "numbaconv"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["numbaconv.css"]
html_theme_options = {
    "navbar_align": "left",
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "show_toc_level": 2,
}

# Kernels are compiled before the gallery's times are taken.
nbc.warmup()
