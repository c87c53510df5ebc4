"""A page in a real browser: what Chromium makes of it."""

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
    """The value, as JSON can hold it, of a JavaScript function body run in a page with this body."""
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
