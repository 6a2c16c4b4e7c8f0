"""`python -m alcs_onnx`: the same as the `alcs-onnx` command."""

import sys

from alcs_onnx.cli import main

sys.exit(main())
