"""python -m workbench.kernels parents FOLDER GROUPS, or CONNECTION_FILE: the base process, or one ordinary kernel."""

import json
import sys

from workbench.kernels.kernel import serve
from workbench.kernels.parent import warm_up

if __name__ == "__main__":
    if sys.argv[1] == "parents":
        warm_up(sys.argv[2], json.loads(sys.argv[3]))
    else:
        serve(sys.argv[1])
