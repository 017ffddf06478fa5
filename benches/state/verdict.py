"""What a run says, in a line; or the medians of several such lines.

verdict.py RUN CODE
verdict.py --median FILE   exits with 1 where most of the runs did not pass
"""

import json
import statistics
import sys


def line(run, code):
    with open(f"{run}/summary.json") as file:
        summary = json.load(file)
    diff, verdict = summary["diff"], summary["verdict"]
    if isinstance(verdict, dict):
        verdict = verdict["verdict"]
    return {
        "verdict": verdict,
        "exit": code,
        "compared": diff["compared"],
        "differ": diff["mismatched"],
        "clusters": diff["clusters"],
        "reasons": summary["reasons"],
    }


def medians(path):
    with open(path) as file:
        turns = [json.loads(text) for text in file]
    middle = {key: statistics.median(turn[key] for turn in turns) for key in ("compared", "differ", "clusters")}
    exits = [turn["exit"] for turn in turns]
    print(path.removesuffix(".turns"), middle, "exits", exits)
    return statistics.median_low(exits) == 0


if sys.argv[1] == "--median":
    sys.exit(0 if medians(sys.argv[2]) else 1)
print(json.dumps(line(sys.argv[1], int(sys.argv[2]))))
