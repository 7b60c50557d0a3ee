#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""The committed output of protocol/gen/gen.py is what the schema gives now."""
import os
import subprocess
import sys

GEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'protocol', 'gen', 'gen.py')
sys.exit(subprocess.call([sys.executable, GEN, '--check']))
