"""What the scripts of this folder share: checks that are told as they are made, and free ports."""
import contextlib, random, socket

failed = []


def check(what, holds, seen=""):
    print(f"{'ok  ' if holds else 'FAIL'} {what}{'' if holds else f': {seen}'}", flush=True)
    if not holds:
        failed.append(what)


def free():
    """A port below those that connections are given."""
    while True:
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", random.randrange(20_000, 30_000)))
            return one.getsockname()[1]
