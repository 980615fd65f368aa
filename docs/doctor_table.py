"""Writes the table of checks in docs/doctor.md, which is that of the code."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "collections"))
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_checks import table

guide = ROOT / "docs/doctor.md"
text = re.sub(r"\| check \| looks at \|.*?\n(?=\n)", lambda found: table(), guide.read_text(), flags=re.DOTALL)
guide.write_text(text)
