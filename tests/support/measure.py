"""Runs a program that may take no more than so many MiB of memory of its own, and says what it took.

Usage: measure.py MIB PROGRAM ARGUMENT... The last line of standard error is the peak of its resident memory in KiB, and
the milliseconds that it ran.
"""

import os
import resource
import sys
import time

bound = int(sys.argv[1]) << 20
begun = time.monotonic()
pid = os.fork()
if pid == 0:
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    os.execv(sys.argv[2], sys.argv[2:])
_, status, used = os.wait4(pid, 0)
print(used.ru_maxrss, int((time.monotonic() - begun) * 1000), file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status) % 256)
