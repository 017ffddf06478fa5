"""Three writers edit pages in forms, look at revisions, upload and leave."""

import re
import sys

import requests
from users import together

base = sys.argv[1]


def hidden(page, form):
    """The hidden inputs of the form whose start tag has `form` in it."""
    found = re.search(r"<form[^>]*%s.*?</form>" % form, page, re.S)
    inputs = {}
    for tag in re.findall(r"<input[^>]*>", found.group(0) if found else page):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and 'type="hidden"' in tag:
            inputs[name.group(1)] = value.group(1) if value else ""
    return inputs


def person(number, pause):
    session = requests.Session()
    session.headers["User-Agent"] = f"Mozilla/5.0 writer/{number}"

    def get(path):
        pause()
        return session.get(base + path)

    def post(path, **more):
        pause()
        return session.post(base + path, **more)

    get("/doku.php?id=start")
    data = hidden(get("/doku.php?id=start&do=login").text, 'id="dw__login"')
    post("/doku.php?id=start", data={**data, "u": f"writer{number}", "p": f"pass-word-{number}", "r": "1"})
    name = f"notes:of{number}"
    for turn in range(3):
        data = hidden(get(f"/doku.php?id={name}&do=edit").text, 'id="dw__editform"')
        text = f"====== Notes {number} ======\nTurn {turn} words.\n"
        post(f"/doku.php?id={name}", data={**data, "wikitext": text, "summary": f"turn {turn}", "do[save]": "1"})
        get(f"/doku.php?id={name}")
    revisions = re.findall(r"rev=(\d+)", get(f"/doku.php?id={name}&do=revisions").text)
    if revisions:
        get(f"/doku.php?id={name}&rev={revisions[0]}")
        get(f"/doku.php?id={name}&do=diff&rev={revisions[0]}")
    data = hidden(get("/doku.php?id=start&do=profile").text, 'id="dw__register"')
    data.update(fullname=f"Writer {number} New", email=f"w{number}@example.org", oldpass=f"pass-word-{number}", newpass="", passchk="")
    post("/doku.php?id=start", data={**data, "do[profile]": "1"})
    data = hidden(get("/lib/exe/mediamanager.php?ns=notes").text, 'id="dw__upload"')
    post("/lib/exe/mediamanager.php?ns=notes", data={**data, "mediaid": f"t{number}.txt"},
         files={"upload": (f"t{number}.txt", f"file {number}", "text/plain")})
    get(f"/lib/exe/fetch.php?media=notes:t{number}.txt")
    token = re.search(r"do=logout&amp;sectok=([0-9a-f]+)", get("/doku.php?id=start").text)
    if token:
        get(f"/doku.php?id=start&do=logout&sectok={token.group(1)}")
    get("/doku.php?id=start&do=recent")


together(person)
