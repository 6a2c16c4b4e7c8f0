"""`python -m alcs_onnx.cli`."""

import sys

from alcs_onnx.cli import main

sys.exit(main())
