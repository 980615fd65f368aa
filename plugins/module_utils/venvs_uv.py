# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pinned uv: one version, of which each file is known by its hash before any of it runs."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Mapping

from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_tools import Runner, call

TOOLS_ROOT = "/opt/flaskworks"
UV_VERSION = "0.13.8"
# The wheels of this version on PyPI, by the last platform in their names, without Windows, which is neither host nor
# controller. `uv lock` in an empty project that depends on uv==VERSION lists them: change both together.
UV_HASHES = {
    "linux_armv6l": "0ec33661a14e38dea8dfb18167d2a4a5c7fe3d476c62dd8eb6acf5f378727201",
    "macosx_10_12_x86_64": "b7124ca1956ec2e476a1003ea5715a15f0266afaec37f4dc9c6972ba8183e6d1",
    "macosx_11_0_arm64": "62b6943c7fd64fac6854f780bea6e0359e5a5bc3241f83ee357bb38276afac49",
    "musllinux_1_1_aarch64": "0b3e8b1a4f5e405e31e2ff33de8af4744831e9f7338539671efbd8c3c94e791d",
    "musllinux_1_1_armv7l": "9cf0b7b12f13da6ab1c85694ab618d97a2bbd0c904cdea7f0172fb1dd768b9d5",
    "manylinux2014_armv7l": "86f1319f851e645bc295bb921e6be19beae7e69216c75ae809010ca7817393aa",
    "manylinux2014_i686": "5ace7ec339798aca31be51a75fa7c1544fe84e02fadd17a9fa3324813bbaf237",
    "manylinux2014_ppc64le": "6999618363d03a0a085a9491db319e00b461dbda205db06ef1fd55dfcbf6472b",
    "manylinux2014_s390x": "13050c64530a1ccfc223af0306a8152d41c0d36ea63bc19161221ca65dfe480a",
    "manylinux2014_x86_64": "e18a57b8b352eb7c8feb317b9f6f533c8f0ad9673fd6cf34bbe3cf1a9f6a8984",
    "manylinux_2_28_aarch64": "5337c30bb893b4f9ce0ceb921ba2da0d13f649da644f40ad3bef84083bef0203",
    "musllinux_1_1_riscv64": "bfcaada3989c7716ad4b58673cd1413fad4fdc6b2e446f9553db0ef18da20850",
    "manylinux_2_31_riscv64": "b26fe533dc6153787e40443b7d9428ed41349127bff36a954ec82c48be01ded9",
    "musllinux_1_1_i686": "63d807451e63c8d21b1b33c945af16438ac9d8ffddc59b31ce69c692135891f5",
    "musllinux_1_1_x86_64": "29451c60f5e8b07403e0a175d5229efc36b0289b34143ff4aaa499a5dd52553a",
}
UV_REQUIREMENT = " ".join([f"uv=={UV_VERSION}", *(f"--hash=sha256:{value}" for value in UV_HASHES.values())])


def ensure_uv(run: Runner, *, env: Mapping[str, str], root: str = TOOLS_ROOT) -> str:
    """Path of the pinned uv, <root>/uv-<version>/bin/uv; installed with python3 -m venv and pip when absent.

    Safe to call twice at once and to be killed at any point: the directory gets its name when it is complete (uv is one
    binary, which unlike an environment's scripts may be moved). Raises VenvError.
    """
    home = os.path.join(root, f"uv-{UV_VERSION}")
    uv = os.path.join(home, "bin", "uv")
    if os.access(uv, os.X_OK):
        return uv
    os.makedirs(root, exist_ok=True)
    os.chmod(root, 0o755)  # whatever umask this process was given: the build user runs uv
    with open(os.path.join(root, ".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.access(uv, os.X_OK):
            return uv
        for left in glob.glob(os.path.join(root, ".uv-*")):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=root, prefix=".uv-") as temporary:
            made, listed = os.path.join(temporary, "venv"), os.path.join(temporary, "uv.txt")
            call(run, ["python3", "-m", "venv", made], env, "/", "Making an environment for uv")
            with open(listed, "w", encoding="utf-8") as stream:
                stream.write(f"{UV_REQUIREMENT}\n")
            # It may run as root, so it is the very file that this collection was tested with, whatever the index says.
            wanted = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement", listed]
            argv = [f"{made}/bin/python", "-m", "pip", "install", *wanted]
            call(run, argv, env, "/", f"Installing uv {UV_VERSION}", explain=_meaning)
            call(run, [f"{made}/bin/uv", "--version"], env, "/", "Starting uv")
            os.sync()
            os.rename(made, home)
    return uv


def _meaning(said: str) -> str:
    """Return what pip's words mean, or an empty text."""
    if "DO NOT MATCH THE HASHES" in said:
        return (
            f"this is another file than PyPI's uv {UV_VERSION}, and nothing of it was installed: have the index, or the"
            " wheelhouse, offer PyPI's, or take the installer pip"
        )
    if "No matching distribution found for uv" in said:
        return (
            f"there was no wheel of uv {UV_VERSION} for this platform to be had: see that the index can be reached and"
            " has it, or that the wheelhouse was collected for this platform, or take the installer pip"
        )
    return ""
