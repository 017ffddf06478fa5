#!/usr/bin/env python3
"""What this machine gives to anybody: how late a thread wakes that only sleeps until an instant: wakeups.py SECONDS [fifo]

A thousand absolute clock_nanosleep a second at random distances, timer slack at its least; with `fifo` at real-time priority.
No replay can be more exact than this without spinning, and what stalls this loop stalls a replay too."""
import ctypes
import os
import random
import sys

libc = ctypes.CDLL(None, use_errno=True)
MONOTONIC, ABSTIME, PR_SET_TIMERSLACK = 1, 1, 29


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanos", ctypes.c_long)]


now = Timespec()


def clock():
    libc.clock_gettime(MONOTONIC, ctypes.byref(now))
    return now.seconds * 10**9 + now.nanos


libc.prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
if "fifo" in sys.argv[2:]:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
rng = random.Random(1)
due, late = clock() + 10**8, []
end = due + int(float(sys.argv[1]) * 1e9)
while due < end:
    due += int(rng.expovariate(1000) * 1e9)
    until = Timespec(*divmod(due, 10**9))
    if clock() < due:
        libc.clock_nanosleep(MONOTONIC, ABSTIME, ctypes.byref(until), None)
        late.append(clock() - due)
late.sort()
at = lambda q: late[min(len(late) - 1, int(q * len(late)))] / 1000
print(f"p50 {at(0.5):.1f} µs, p99 {at(0.99):.1f} µs, p99.9 {at(0.999):.1f} µs, max {late[-1] / 1000:.1f} µs")
