#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""protocol/schema says what the schemas inside the jar KC_KAFKA_CLIENTS_JAR say; skipped (77) without one."""
import os
import subprocess
import sys

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'protocol', 'gen', 'from_jar.py')
jar = os.environ.get('KC_KAFKA_CLIENTS_JAR', '')
if not os.path.isfile(jar):
    print('KC_KAFKA_CLIENTS_JAR names no kafka-clients jar: skipped')
    sys.exit(77)
sys.exit(subprocess.call([sys.executable, TOOL, '--check', jar]))
