"""Print the path of the newest Python here that is newer than this one, or nothing."""

import os
import pathlib
import subprocess
import sys

MINORS = (14, 13, 12)

# Run by each candidate: a finished release with a global lock, able to make an environment.
# A file alone proves nothing: pyenv puts a stub on PATH for versions that are not in use.
USABLE = """
import ensurepip, sys, sysconfig, venv
free_threaded = sysconfig.get_config_var("Py_GIL_DISABLED")
sys.exit(sys.version_info.releaselevel != "final" or bool(free_threaded))
"""


def pyenv_versions():
    """Return the folder in which pyenv keeps its Pythons, there or not."""
    root = os.environ.get("PYENV_ROOT")
    if not root:
        try:
            found = subprocess.run(["pyenv", "root"], capture_output=True, text=True)
            root = found.stdout.strip()
        except OSError:
            pass
    return pathlib.Path(root or "~/.pyenv").expanduser() / "versions"


def candidates(version):
    """Yield each file that may be this version of Python."""
    folders = [pathlib.Path(folder) for folder in os.get_exec_path()]
    folders += sorted(pyenv_versions().glob(f"{version}.*/bin"))
    for folder in folders:
        file = folder / f"python{version}"
        if os.access(file, os.X_OK):
            yield file


def newest():
    """Return the newest usable Python, or None."""
    for minor in MINORS:
        if minor <= sys.version_info[1]:
            break
        for file in candidates(f"3.{minor}"):
            if subprocess.run([file, "-c", USABLE], stderr=subprocess.DEVNULL).returncode == 0:
                return file
    return None


if __name__ == "__main__":
    print(newest() or "")
