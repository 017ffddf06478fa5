#!/usr/bin/env python3
"""Holds the flows that are found against a truth that nobody has to judge.

One client runs twice, one request after the other, against v1 on fresh data. What differs between
the two recordings in a request, v1 issued or the client made anew. A value that v1 issued must be
bound: put in place of the first run's value, the second run's makes the first run's request the
second run's. A use is right if both runs have it, from the same answer, at the same places.

    truth.py SHADOWTAP FIRST.jsonl SECOND.jsonl

prints one line of figures, and what could not be explained; ends with 1 where a use is wrong or a
value that v1 issued is not bound.
"""

import base64
import json
import re
import subprocess
import sys
from collections import Counter
from urllib.parse import quote, quote_plus

# Fields whose values are new in every run, and not because of v1's answers.
VOLATILE = {
    "host", "date", "x-amz-date", "authorization-date", "amz-sdk-invocation-id",
    "amz-sdk-request", "user-agent", "content-length", "content-md5", "x-amz-content-sha256",
}
WORD = re.compile(r"[A-Za-z0-9_\-]+")


def exchanges(path):
    """Requests and answers in the order of the requests, by rank and by id."""
    found = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            line = json.loads(line)
            if line.get("request"):
                found.append(line)
    found.sort(key=lambda line: line["request"]["at"])
    return found


def text_of(body):
    if not body:
        return ""
    if "utf8" in body:
        return body["utf8"]
    return base64.b64decode(body["base64"]).decode("latin-1")


def said(message, target=""):
    fields = []
    for name, value in message["headers"]:
        if name.lower() in VOLATILE or not isinstance(value, str):
            continue
        # What a client signs is new with what it signs.
        if name.lower() == "authorization" and value.startswith("AWS4-"):
            value = value.split("/")[0]
        elif name.lower() == "authorization" and value.startswith("Basic "):
            value = base64.b64decode(value[6:]).decode("latin-1")
        fields.append(f"{name.lower()}: {value}")
    boundary = next((v for n, v in message["headers"] if n.lower() == "content-type"), "")
    mark = re.search(r'boundary="?([^";]+)', boundary if isinstance(boundary, str) else "")
    text = "\n".join([target, *fields, text_of(message.get("body"))])
    return text.replace(mark.group(1), "BOUNDARY") if mark else text


def uses(program, path):
    command = [program, "flows", path, "--uses", "--show-secrets"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in lines.splitlines()]


def forms(value):
    """How a value may be written in a request."""
    return [value, quote(value, safe=""), quote_plus(value), quote(value), json.dumps(value)[1:-1]]


def main(program, first, second):
    one, two = exchanges(first), exchanges(second)
    rank = [{line["id"]: n for n, line in enumerate(run)} for run in (one, two)]
    aligned = min(len(one), len(two))
    same_way = [
        n for n in range(aligned)
        if one[n]["request"]["method"] == two[n]["request"]["method"]
        and (one[n].get("response") or {}).get("status") == (two[n].get("response") or {}).get("status")
    ]
    kept = set(same_way)
    edges = []
    for run, path in enumerate((first, second)):
        by_place = {}
        for use in uses(program, path):
            at = rank[run][use["id"]]
            key = (at, use["place"], tuple(use.get("range") or ())[:1])
            by_place[key] = (rank[run][use["from"]], use["born"], use["value"])
        edges.append(by_place)
    right = wrong = 0
    wrongs = []
    for key, (source, born, value) in edges[0].items():
        if key[0] not in kept:
            continue
        other = edges[1].get(key)
        if other and other[:2] == (source, born):
            right += 1
            continue
        # Another answer with the same value is right where the second run has its value there too.
        theirs = said_anywhere(two, source, other[2] if other else None)
        if theirs:
            right += 1
        elif value in said(two[key[0]]["request"], target(two[key[0]])):
            right += 1  # the same in both runs: bound to itself
        else:
            wrong += 1
            wrongs.append((one[key[0]]["id"], key[1], born, other))
    must = bound = 0
    by_client = Counter()
    missing = []
    issued = issued_words(two)
    for n in same_way:
        mine = said(one[n]["request"], target(one[n]))
        theirs = said(two[n]["request"], target(two[n]))
        if mine == theirs:
            continue
        pairs = sorted(
            ((edges[0][key][2], edges[1][key][2]) for key in edges[0] if key[0] == n and key in edges[1]),
            key=lambda pair: -len(pair[0]),
        )
        for old, new in pairs:
            for a, b in zip(forms(old), forms(new)):
                if old != new:
                    mine = mine.replace(a, b)
        differing = {old for old, new in pairs if old != new}
        must += len(differing)
        bound += len(differing)
        if mine == theirs:
            continue
        left = [(a, b) for a, b in zip(WORD.findall(mine), WORD.findall(theirs)) if a != b]
        for a, b in left:
            # A word that no answer of the second run shows before is the client's own.
            if issued.get(b, len(two)) < n:
                must += 1
                missing.append((one[n]["id"], a, b))
            else:
                by_client[b] += 1
    share = 100 * bound / must if must else 100
    print(f"{aligned} requests, {aligned - len(same_way)} not aligned; {must} values must be bound, "
          f"{bound} are ({share:.1f} %); {sum(by_client.values())} of the client's own; "
          f"{right} uses right, {wrong} wrong")
    for line in missing[:10]:
        print("  not bound:", *line)
    for line in wrongs[:10]:
        print("  wrong:", *line)
    return 1 if wrong or missing else 0


def target(line):
    return line["request"]["target"] if isinstance(line["request"]["target"], str) else ""


def said_anywhere(run, number, value):
    return value is not None and value in said(run[number]["response"])


def issued_words(run):
    """The first exchange whose answer shows each word, but for what a request said before."""
    first, before = {}, set()
    for n, line in enumerate(run):
        before.update(WORD.findall(said(line["request"], target(line))))
        if line.get("response"):
            for word in WORD.findall(said(line["response"])):
                if word not in before:
                    first.setdefault(word, n)
    return first


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
