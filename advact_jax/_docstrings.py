"""What the docstrings of the learnable layers share, written once."""

from __future__ import annotations

import re
from typing import TypeVar

T = TypeVar("T", bound=type)

_SHARED = {
    "<axes>": """\
axis: the axis or axes with a parameter for each entry; None for one scalar. The last axis by
        default, the channels: the spatial size does not matter.
      shared_axes: Keras's argument in place of ``axis``: the axes, counted with the batch as 0,
        that share parameters; all others have their own. () gives one per unit.""",
    "<one>": """\
axis: the axis or axes with a parameter for each entry: -1 for one per channel. None, the
        default, for one in the whole layer.
      shared_axes: Keras's argument in place of ``axis``: the axes, counted with the batch as 0,
        that share parameters; all others have their own. () gives one per unit.""",
    "<features>": """\
features: number of channels; with several axes their sizes; with ``shared_axes`` the shape of
        the input without the batch; None with ``axis=None``.""",
    "<others>": """\
dtype: type of computation and output; None is the input's.
      param_dtype: type of the parameters.
      sharding: for each axis of a parameter the name of a mesh axis, or None.""",
    "<raises>": """\
ValueError: if the axes are wrong or repeated, are the batch axis, or both kinds are given; if
        an initial value has the wrong shape; if the input does not fit the parameters; if a name is
        unknown.
      TypeError: if an argument is of the wrong type.""",
}
_PARAMETER = """\
{0}_init: initial {1}: a number, an array, an initializer, Keras's name of one, or the name of
        a framework ("keras", "torch", ...), whose value it then is.
      {0}_regularizer: its penalty: a function, or a name as in `advact_jax.regularizers`.
      {0}_constraint: what it must fulfil: a function, or a name as in `advact_jax.constraints`;
        `advact_jax.optim.project` sees to it."""


def documented(kind: T) -> T:
    """Fill the marks in the docstring of a layer: <axes>, <features>, <others>, <raises>,
    <parameter: what it is>, and from the declaration of its function <definition> and <source>.
    """  # noqa: D205
    text = kind.__doc__ or ""
    for mark, shared in _SHARED.items():
        text = text.replace(mark, shared)
    function = getattr(kind, "_function", None)
    if function is not None:
        text = text.replace("<definition>", f".. math:: {function.spec.latex}")
        text = text.replace("<source>", function.spec.paper)
    kind.__doc__ = re.sub(r"<(\w+): ([^>]*)>", lambda m: _PARAMETER.format(*m.groups()), text)
    return kind
