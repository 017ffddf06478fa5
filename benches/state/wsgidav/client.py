"""People with a shared folder: locks, writes under a lock, properties, copies."""

import sys

import requests
from users import together

URL = sys.argv[1]
LOCK = ('<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>'
        '<D:locktype><D:write/></D:locktype><D:owner><D:href>person{}</D:href></D:owner></D:lockinfo>')
FIND = '<?xml version="1.0"?><propfind xmlns="DAV:"><allprop/></propfind>'
PATCH = ('<?xml version="1.0"?><D:propertyupdate xmlns:D="DAV:" xmlns:Z="urn:z"><D:set><D:prop><Z:note>{}</Z:note>'
         '</D:prop></D:set></D:propertyupdate>')


def person(number, pause):
    http = requests.Session()
    http.headers["User-Agent"] = f"davfs/{number}"
    xml = {"Content-Type": "application/xml"}

    def say(method, path, data=None, **headers):
        answer = http.request(method, URL + path, data=data, headers=headers)
        pause()
        return answer

    say("OPTIONS", "/")
    say("MKCOL", f"/p{number}")
    for turn in range(3):
        path = f"/p{number}/doc{turn}.txt"
        say("PUT", path, f"words {number} {turn}\n" * 10)
        token = say("LOCK", path, LOCK.format(number), Depth="0", Timeout="Second-3600", **xml).headers["Lock-Token"]
        tag = say("HEAD", path).headers.get("ETag")
        say("PUT", path, "no lock")
        say("PUT", path, "other words", If=f"({token})")
        say("PUT", path, "stale", If=f"({token} [{tag}])")
        tag = say("HEAD", path).headers.get("ETag")
        say("GET", path, **{"If-None-Match": tag})
        say("PROPPATCH", path, PATCH.format(turn), If=f"<{URL}{path}> ({token})", **xml)
        say("PROPFIND", path, FIND, Depth="0", **xml)
        say("LOCK", path, If=f"({token})", Timeout="Second-600")
        say("UNLOCK", path, **{"Lock-Token": token})
        say("COPY", path, Destination=f"{URL}{path}.copy")
        say("MOVE", path + ".copy", Destination=f"{URL}/p{number}/moved{turn}", Overwrite="F")
    say("PROPFIND", f"/p{number}/", FIND, Depth="1", **xml)
    say("DELETE", f"/p{number}/moved0")
    say("DELETE", f"/p{number}/nothing")


together(person)
