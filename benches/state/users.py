"""People who use an application at once, each with pauses; one after the other where `SERIAL` is set."""

import os
import random
import threading
import time
import traceback


def together(person, people=3, rounds=1, apart=0.4):
    """Runs `person(number, pause)` for each of them; `pause` is a moment in which one reads."""

    def one(number):
        moments = random.Random(number)
        try:
            person(number, lambda: time.sleep(moments.uniform(0.02, 0.1)))
        except Exception:  # What one person trips over is no reason for others to leave.
            traceback.print_exc()

    for turn in range(rounds):
        numbers = range(turn * people, (turn + 1) * people)
        if os.environ.get("SERIAL"):
            for number in numbers:
                one(number)
            continue
        threads = [threading.Thread(target=one, args=[number]) for number in numbers]
        for thread in threads:
            thread.start()
            time.sleep(apart)
        for thread in threads:
            thread.join()
