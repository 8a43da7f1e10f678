#!/usr/bin/env bash
# openneuro-py downloads over niquests, whose urllib3-future takes the place of urllib3 in the whole environment: what
# requests, boto3 and others import by that name afterwards is another library, though pip still lists both.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv
venv/bin/pip install -q requests==2.34.2 urllib3==2.8.0
venv/bin/python -c 'import urllib3; print("before: urllib3", urllib3.__version__)'
venv/bin/pip install -q openneuro-py==2026.9.1 urllib3==2.8.0
venv/bin/python - <<'PYTHON'
from importlib.metadata import version

import requests
import urllib3

print("openneuro-py", version("openneuro-py"), "requests", requests.__version__)
print("installed: urllib3", version("urllib3"), "urllib3-future", version("urllib3-future"))
print("what `import urllib3` gives, to requests too:", urllib3.__version__, requests.adapters.PoolManager.__module__)
raise SystemExit(0 if urllib3.__version__ == version("urllib3-future") != version("urllib3") else 1)
PYTHON
