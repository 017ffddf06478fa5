#!/usr/bin/env python3
"""Runs a command and writes what it cost to standard error's last line: cost.py COMMAND...

user_s system_s wall_s peak_rss_kb exit"""
import os
import sys
import time

began = time.monotonic()
child = os.fork()
if child == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
code = os.waitstatus_to_exitcode(status)
wall = time.monotonic() - began
print(f"cost {usage.ru_utime:.3f} {usage.ru_stime:.3f} {wall:.3f} {usage.ru_maxrss} {code}", file=sys.stderr)
sys.exit(code if code >= 0 else 1)
