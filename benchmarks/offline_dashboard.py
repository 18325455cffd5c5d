"""Make a published asv dashboard open without the internet.

asv's pages load their libraries from content-delivery networks. Run
``python -m benchmarks.offline_dashboard`` after ``asv publish``: it fetches the same libraries by
npm, puts them into ``.asv/html/vendor``, and points ``index.html`` at them.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HTML = Path(__file__).parent.parent / ".asv" / "html"
# The npm packages, and where each file that the page loads is in them.
PACKAGES = (
    "jquery@3.3.1", "flot@0.8.3", "flot-orderbars@1.0.0", "stupid-table-plugin@1.1.3",
    "blueimp-md5@2.19.0", "bootstrap@3.1.1",
)  # fmt: skip
FILES = {
    "jquery-3.3.1.min.js": "jquery/dist/jquery.min.js",
    "jquery.flot.min.js": "flot/jquery.flot.js",
    "jquery.flot.time.min.js": "flot/jquery.flot.time.js",
    "jquery.flot.selection.min.js": "flot/jquery.flot.selection.js",
    "jquery.flot.categories.min.js": "flot/jquery.flot.categories.js",
    "jquery.flot.orderBars.js": "flot-orderbars/js/jquery.flot.orderBars.js",
    "stupidtable.min.js": "stupid-table-plugin/stupidtable.js",
    "md5.min.js": "blueimp-md5/js/md5.min.js",
    "bootstrap.min.js": "bootstrap/dist/js/bootstrap.min.js",
    "bootstrap.min.css": "bootstrap/dist/css/bootstrap.min.css",
}
_REMOTE = re.compile(r'(src|href)="https://[^"]*/([^"/]+\.(?:js|css))"[^>]*')


def main():
    index = HTML / "index.html"
    page = index.read_text()
    missing = {name for _, name in _REMOTE.findall(page)} - FILES.keys()
    if missing:
        sys.exit(f"asv's page loads what this script does not know: {sorted(missing)}")
    vendor = HTML / "vendor"
    vendor.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", *PACKAGES], check=True
        )
        for name, source in FILES.items():
            shutil.copy(Path(folder, "node_modules", source), vendor / name)
    index.write_text(_REMOTE.sub(r'\1="vendor/\2"', page))
    print(f"{index} loads its libraries from {vendor}")


if __name__ == "__main__":
    main()
