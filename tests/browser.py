"""Evaluate JavaScript on a page in a real browser, Chromium."""

import html
import json
import re
import shutil
import subprocess

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def evaluate(body, script, folder):
    """Run the body of a JavaScript function on a page with this HTML body; its value, converted from JSON."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        pytest.skip("needs Chromium")
    page = folder / "page.html"
    run = f"document.getElementById('result').textContent = JSON.stringify((() => {{ {script} }})())"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><body>{body}<pre id="result"></pre><script>{run}</script></body>',
        encoding="utf-8",
    )
    command = [browser, *_QUIET, f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=True).stdout
    return json.loads(html.unescape(re.search(r'<pre id="result">(.*?)</pre>', dom, re.DOTALL).group(1)))
