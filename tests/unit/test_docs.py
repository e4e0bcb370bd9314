"""The Python in docs/testing.md does what the text says of it."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_model_of_ones_own_and_its_tests(tmp_path: Path) -> None:
    blocks = dict(BLOCK.findall((ROOT / "docs" / "testing.md").read_text()))
    assert list(blocks) == ["my_models.py", "test_my_models.py"]
    for name, text in blocks.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=tmp_path, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
