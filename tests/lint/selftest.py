#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""Each lint finds what it is for, in a small tree made for it, and is content with a good one."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SPDX = "/* SPDX-License-Identifier: LicenseRef-OfficeFlow */\n"


class LintTest(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as out:
            out.write(text)
        return full

    def run_lint(self, name, *arguments):
        result = subprocess.run([sys.executable, os.path.join(HERE, name), "--root", self.root, *arguments],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return result.returncode, result.stdout

    def passes(self, name, *arguments):
        status, output = self.run_lint(name, *arguments)
        self.assertEqual(0, status, output)

    def fails(self, name, expected, *arguments):
        status, output = self.run_lint(name, *arguments)
        self.assertEqual(1, status, output)
        self.assertIn(expected, output)


class Layers(LintTest):
    def setUp(self):
        super().setUp()
        self.write("protocol/base/mem.h", "")
        self.write("protocol/include/kafkac/error.h", "")
        self.write("client/include/kafkac/client.h", "#include <kafkac/error.h>\n")
        self.write("client/metadata.h", '#include "protocol/wire.h"\n')
        self.write("protocol/wire.h", '#include "protocol/base/mem.h"\n')

    def test_left_is_fine(self):
        self.write("officeflow/event.c", '#include "protocol/base/mem.h"\n#include <kafkac/client.h>\n')
        self.passes("layers.py")

    def test_right_is_not(self):
        self.write("protocol/wire.c", '#include "client/metadata.h"\n')
        self.fails("layers.py", "protocol/wire.c:1: protocol may not include client")

    def test_public_header_of_a_later_layer(self):
        self.write("net/conn.c", "\n#include <kafkac/client.h>\n")
        self.fails("layers.py", "net/conn.c:2: net may not include client")

    def test_officeflow_takes_public_headers_only(self):
        self.write("officeflow/event.c", '#include "client/metadata.h"\n')
        self.fails("layers.py", "officeflow/event.c:1: officeflow may not include client")

    def test_mock_is_not_for_the_client(self):
        self.write("mock/broker.h", "")
        self.write("client/route.c", '#include "mock/broker.h"\n')
        self.fails("layers.py", "client/route.c:1: client may not include mock")

    def test_tests_are_for_nobody(self):
        self.write("tests/unit/help.h", "")
        self.write("net/conn.c", '#include "tests/unit/help.h"\n')
        self.fails("layers.py", "net/conn.c:1: net may not include tests/unit")

    def test_public_header_includes_public_ones(self):
        self.write("client/include/kafkac/client.h", '#include "client/metadata.h"\n')
        self.fails("layers.py", "client/include/kafkac/client.h:1: a public header may include")

    def test_path_from_the_root(self):
        self.write("net/conn.h", "")
        self.write("net/conn.c", '#include "conn.h"\n')
        self.fails("layers.py", "net/conn.c:1: no file conn.h from the root")

    def test_cycle_through_a_source(self):
        self.write("net/pool.h", '#include "net/conn.h"\n')
        self.write("net/conn.h", "")
        self.write("net/conn_close.c", '#include "net/pool.h"\n')
        self.fails("layers.py", "include cycle: net/conn -> net/pool -> net/conn")

    def test_parts_of_one_module_are_no_cycle(self):
        self.write("net/conn.h", "")
        self.write("net/conn_state.h", '#include "net/conn.h"\n')
        self.write("net/conn.c", '#include "net/conn_state.h"\n')
        self.passes("layers.py")


class Symbols(LintTest):
    def build(self, path, text, *flags):
        source = self.write(path, text)
        command = {"directory": self.root, "file": source,
                   "arguments": ["cc", "-std=c11", "-D_GNU_SOURCE", *flags, "-o", "unit.o", "-c", source]}
        self.write("compile_commands.json", json.dumps([command]))
        return "--build", self.root

    def test_allocator_may_allocate(self):
        self.passes("symbols.py", *self.build(
            "protocol/base/mem.c", "#include <stdlib.h>\nvoid *f(size_t n) { return malloc(n); }\n"))

    def test_others_may_not(self):
        self.fails("symbols.py", "net/conn.c: allocates memory: strdup", *self.build(
            "net/conn.c", "#include <string.h>\nchar *f(const char *s) { return strdup(s); }\n"))

    def test_clock(self):
        self.fails("symbols.py", "client/retry.c: reads the clock: clock_gettime", *self.build(
            "client/retry.c", "#include <time.h>\nint f(struct timespec *t) { return clock_gettime(1, t); }\n"))

    def test_input_behind_fortification(self):
        self.fails("symbols.py", "protocol/wire.c: does input or output: read", *self.build(
            "protocol/wire.c", "#include <unistd.h>\nvoid f(char *p, size_t n);\nlong g(size_t n) { char b[64];"
            " long r = read(0, b, n); f(b, n); return r; }\n", "-O2", "-D_FORTIFY_SOURCE=2"))

    def test_threads(self):
        self.fails("symbols.py", "client/core.c: uses threads: pthread_mutex_lock", *self.build(
            "client/core.c", "#include <pthread.h>\nint f(pthread_mutex_t *m) { return pthread_mutex_lock(m); }\n"))

    def test_sanitizer_calls_are_not_ours(self):
        self.passes("symbols.py", *self.build("net/conn.c", "int f(int *p) { return *p; }\n",
                                              "-fsanitize=address,undefined"))

    def test_nothing_compiled_is_a_failure(self):
        self.write("compile_commands.json", "[]")
        self.fails("symbols.py", "nothing was checked", "--build", self.root)


class Exports(LintTest):
    def build(self, text, *options):
        source = self.write("lib.c", text)
        library = os.path.join(self.root, "libx.so")
        subprocess.run(["cc", "-shared", "-fPIC", *(options or ["-Wl,-z,nodelete"]), "-o", library, source], check=True)
        self.write("include/x.h", "KC_API\nint kc_f(int a);\n/* KC_API int kc_gone(void); */\n")
        return "--library", library, "--prefix", "kc_", "--headers", os.path.join(self.root, "include")

    def test_good(self):
        self.passes("exports.py", *self.build("int kc_f(int a) { return a; }\n"))

    def test_other_prefix(self):
        self.fails("exports.py", "exports kb_g", *self.build("int kc_f(int a) { return a; } int kb_g;\n"))

    def test_unloadable(self):
        self.fails("exports.py", "can be unloaded", *self.build("int kc_f(int a) { return a; }\n", "-g"))

    def test_declared_and_missing(self):
        self.fails("exports.py", "x.h declares kc_f, which is not exported", *self.build("int kc_g;\n"))


class Text(LintTest):
    def test_good(self):
        self.write("net/a.c", SPDX + "int f(void)\n{\n}\n")
        self.write("scripts/x", "#!/usr/bin/env bash\n# SPDX-License-Identifier: LicenseRef-OfficeFlow\n")
        self.passes("text.py")

    def test_first_line(self):
        self.write("net/a.h", "int f(void);\n")
        self.fails("text.py", "net/a.h:1: first line without SPDX")

    def test_leftover(self):
        self.write("net/a.c", SPDX + "// TO" "DO later\n")
        self.fails("text.py", "net/a.c:2: leftover")

    def test_machine_path(self):
        self.write("docs/a.md", "see /ho" "me/me/x\n")
        self.fails("text.py", "docs/a.md:1: path of one machine: /ho" "me/m")

    def test_long_function(self):
        self.write("net/a.c", SPDX + "int f(void)\n{\n" + "    ;\n" * 71 + "}\n")
        self.fails("text.py", "net/a.c:3: function of 71 lines, at most 70")

    def test_long_file(self):
        self.write("net/a.c", SPDX + "int a;\n" * 1200)
        self.fails("text.py", "net/a.c: 1201 lines, at most 1200")

    def test_script_that_does_not_parse(self):
        self.write("scripts/x", "#!/usr/bin/env bash\n# SPDX-License-Identifier: LicenseRef-OfficeFlow\nif\n")
        self.fails("text.py", "syntax error")


@unittest.skipUnless(shutil.which("clang-format-14") or shutil.which("clang-format"), "no clang-format")
class Format(LintTest):
    def setUp(self):
        super().setUp()
        shutil.copy(os.path.join(HERE, "..", "..", ".clang-format"), self.root)

    def test_good(self):
        self.write("net/a.c", "int f(void)\n{\n    return 0;\n}\n")
        self.passes("format.py")

    def test_bad(self):
        self.write("net/a.c", "int f(void) {\n  return 0; }\n")
        self.fails("format.py", "net/a.c:1: not formatted")


if __name__ == "__main__":
    unittest.main()
