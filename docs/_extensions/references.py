"""Sphinx extension: short names in docstrings, such as `linen.PReLU`, lead to their page."""

from __future__ import annotations

from typing import Any

from sphinx.util.nodes import make_refnode


def resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Return the link for a name that the module at hand does not have."""
    if node.get("refdomain") != "py":
        return None
    name, known = node["reftarget"], env.domains["py"].data["objects"]
    # What the package itself has comes first; of layers that linen and nnx have, those of linen.
    found = [
        other
        for other in (f"advact_jax.{name}", *sorted(o for o in known if o.endswith(f".{name}")))
        if other in known
    ]
    if not found:
        return None
    entry = known[found[0]]
    source = node.get("refdoc", env.docname)
    return make_refnode(app.builder, source, entry.docname, entry.node_id, content)


def setup(app: Any) -> dict[str, bool]:
    """Connect the extension."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
