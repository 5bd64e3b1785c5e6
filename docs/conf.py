"""Settings of the documentation: `make docs`."""

import importlib.metadata
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_extensions")]

import advact_jax  # noqa: E402

project = "advact_jax"
author = "The advact_jax authors"
project_copyright = author
version = release = advact_jax.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "catalogue",
    "explorer",
    "links",
    "navigation",
    "references",
    "undocumented",
]
exclude_patterns = ["_build", "_extensions"]

# -- text -----------------------------------------------------------------------------------------

myst_enable_extensions = ["dollarmath", "attrs_block", "attrs_inline", "html_image"]
myst_heading_anchors = 3
# A name in single backticks is looked up, as a docstring means it.
default_role = "py:obj"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_typehints = "signature"
# Written in signatures as in the code, and not as what they stand for.
_ALIASES = (
    "ArrayLike",
    "Axes",
    "Axis",
    "Constraint",
    "Formula",
    "Grid",
    "Initializer",
    "Regularizer",
)
autodoc_type_aliases = {name: name for name in _ALIASES}
autodoc_member_order = "bysource"
maximum_signature_line_length = 90
python_use_unqualified_type_names = True
add_module_names = False
# Annotations name types of other libraries and aliases of types, which have no page here.
nitpick_ignore_regex = [
    ("py:class", r"(?!advact_jax\.(?!_)).*"),
    ("py:obj", r"(flax|jax|matplotlib|numpy|optax)\..*"),
]

# -- pages ----------------------------------------------------------------------------------------

html_theme = "furo"
html_title = "advact_jax"
# Furo's own underlines what is imported, as if it were a link.
pygments_dark_style = "github-dark"
html_show_sphinx = False
# From a folder, where pages cannot be fetched, the search has all it needs but the excerpts.
html_show_search_summary = False
html_copy_source = False
# One file, so that no request is made while formulas are set, and none to another host.
_mathjax = next(
    file
    for file in importlib.metadata.files("sphinx-mathjax-offline") or ()
    if file.name == "tex-svg-full.js"
)
mathjax_path = "tex-svg-full.js"
mathjax3_config = {"options": {"enableMenu": False}}
html_static_path = ["_static", str(_mathjax.locate())]
html_css_files = ["site.css"]
