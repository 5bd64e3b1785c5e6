"""Make the numbers and pictures of the site, several activations at a time.

Nothing is made anew while the library and these files are as they were.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def produce(figures: Path, data: Path, record: Path) -> dict[str, Any]:
    """Write figures and the explorer's data; return what the pages say, by activation.

    Args:
      figures: where the figures go.
      data: where the data of the explorer go.
      record: the file that remembers what was made from what.
    """
    stamp = _digest()
    if record.exists() and (before := json.loads(record.read_text()))["stamp"] == stamp:
        if all((ROOT / path).exists() for path in before["files"]):
            return before["told"]
    for folder in (figures, data, record.parent):
        folder.mkdir(parents=True, exist_ok=True)
    from advact_jax import catalog

    names = [*catalog.elementwise(), *catalog.along_axis()]
    # Of two processes none waits for the other's longest.
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(os.cpu_count() or 1, 4), spawn) as pool:
        jobs = {name: pool.submit(_one, name, figures, data) for name in names}
        told = {name: job.result() for name, job in jobs.items()}
    (data / "index.js").write_text(f"explorer.catalogue({json.dumps(_catalogue())});\n")
    files = [*figures.glob("*.svg"), *data.glob("*.js")]
    made = {"stamp": stamp, "files": [os.path.relpath(f, ROOT) for f in files], "told": told}
    record.write_text(json.dumps(made))
    return told


def _digest() -> str:
    import jax

    digest = hashlib.sha256(jax.__version__.encode())
    own = [HERE / f"{name}.py" for name in ("drawing", "packing", "producing", "sampling")]
    for path in sorted([*(ROOT / "advact_jax").rglob("*.py"), *own]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _one(name: str, figures: Path, data: Path) -> dict[str, Any]:
    """Write what belongs to one activation, and return what its page says of it."""
    import drawing
    import numpy as np
    import packing

    from advact_jax import catalog, plots

    figure = plots.curves(name)
    drawing.save(figure, figures / name)
    told: dict[str, Any] = {"thumbnail": drawing.thumbnail(figure), "kinks": []}
    elementwise = catalog.elementwise()
    if name in elementwise:
        made = packing.sample(elementwise[name])
        text = json.dumps(packing.packed(made), separators=(",", ":"))
        (data / f"{name}.js").write_text(f"explorer.receive({text});\n")
        x, y = made.x[made.usual], made.y[made.usual]
        for kink in made.kinks[made.usual]:
            at = int(abs(x - np.float32(kink)).argmin())
            told["kinks"].append([kink, float(y[0, at]), float(y[1, at])])
    return told


def _catalogue() -> dict[str, Any]:
    """Return what the explorer knows before it has loaded any activation."""
    import packing

    from advact_jax import catalog

    families = {
        function.spec.name: family
        for family, module in catalog.FAMILIES.items()
        for function in vars(module).values()
        if hasattr(function, "spec") and function.__module__ == module.__name__
    }
    names = [{"name": name, "family": families[name]} for name in catalog.elementwise()]
    return {"activations": names, **packing.common()}
