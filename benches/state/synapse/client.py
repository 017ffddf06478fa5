"""People in Matrix rooms: they register, talk, invite, sync, upload, redact, leave."""

import sys
from urllib.parse import quote

import requests
from users import together

URL = sys.argv[1]
API = "/_matrix/client/v3"


def person(number, pause):
    session = requests.Session()
    session.headers["User-Agent"] = f"Element/{number}"
    name, word = f"person{number}", f"Pass-word-{number}"

    def call(method, path, body=None, **more):
        answer = session.request(method, URL + path, json=body, **more)
        pause()
        return answer.json() if answer.content and "json" in answer.headers.get("Content-Type", "") else answer

    def enter(answer):
        session.headers["Authorization"] = "Bearer " + answer["access_token"]
        return answer["user_id"], answer["device_id"]

    call("GET", "/_matrix/client/versions")
    call("GET", API + "/login")
    first = call("POST", API + "/register", {"username": name, "password": word})
    me, device = enter(call("POST", API + "/register", {
        "username": name, "password": word, "initial_device_display_name": "web",
        "auth": {"type": "m.login.dummy", "session": first["session"]}}))
    call("GET", API + "/account/whoami")
    mine = quote(me)
    call("PUT", f"{API}/profile/{mine}/displayname", {"displayname": f"Person {number}"})
    filtered = call("POST", f"{API}/user/{mine}/filter", {"room": {"timeline": {"limit": 20}}})["filter_id"]
    call("GET", f"{API}/user/{mine}/filter/{filtered}")
    call("POST", API + "/keys/upload", {"one_time_keys": {
        f"curve25519:AAAA{number}{n}": f"b64key{number}{n}" for n in range(3)}})
    sync = call("GET", f"{API}/sync?filter={filtered}&timeout=0")
    rooms, n = [], 0

    def say(room, text, kind="m.room.message", **more):
        nonlocal n
        n += 1
        body = {"msgtype": "m.text", "body": text, **more}
        return call("PUT", f"{API}/rooms/{quote(room)}/send/{kind}/m{number}.{n}", body)["event_id"]

    for turn in range(3):
        room = call("POST", API + "/createRoom", {
            "name": f"Room {number} {turn}", "topic": "words", "preset": "private_chat",
            "room_alias_name": f"room-{number}-{turn}"})["room_id"]
        rooms.append(room)
        where = f"{API}/rooms/{quote(room)}"
        events = [say(room, f"message {turn} {m}") for m in range(4)]
        call("GET", f"{API}/directory/room/" + quote(f"#room-{number}-{turn}:example.org"))
        say(room, "* edited", **{"m.new_content": {"msgtype": "m.text", "body": "edited"},
            "m.relates_to": {"rel_type": "m.replace", "event_id": events[0]}})
        say(room, "x", kind="m.reaction", **{"m.relates_to": {
            "rel_type": "m.annotation", "event_id": events[1], "key": "+"}})
        call("GET", f"{where}/event/{quote(events[0])}")
        call("GET", f"/_matrix/client/v1/rooms/{quote(room)}/relations/{quote(events[1])}")
        call("PUT", f"{where}/redact/{quote(events[2])}/r{number}.{turn}", {"reason": "wrong"})
        call("GET", f"{where}/event/{quote(events[2])}")
        page = call("GET", f"{where}/messages?dir=b&limit=5")
        call("GET", f"{where}/messages?dir=b&limit=5&from={quote(page['end'])}")
        call("POST", f"{where}/receipt/m.read/{quote(events[3])}", {})
        call("PUT", f"{where}/state/m.room.topic/", {"topic": f"other {turn}"})
        call("GET", f"{where}/state")
        call("GET", f"{where}/members")
        call("GET", f"{where}/joined_members")
        call("GET", f"{where}/context/{quote(events[1])}?limit=4")
        sync = call("GET", f"{API}/sync?filter={filtered}&timeout=0&since={quote(sync['next_batch'])}")
        call("PUT", f"{API}/user/{mine}/rooms/{quote(room)}/tags/u.work", {"order": 0.5})
    call("GET", API + "/joined_rooms")
    call("GET", f"{API}/sync?timeout=0&full_state=true")
    media = call("POST", f"/_matrix/media/v3/upload?filename=a{number}.txt", data=b"words " * 20 + name.encode(),
        headers={"Content-Type": "text/plain"})["content_uri"]
    call("GET", "/_matrix/client/v1/media/download/" + media.removeprefix("mxc://"))
    say(rooms[0], "a file", url=media)
    call("GET", f"{API}/devices")
    call("PUT", f"{API}/devices/{device}", {"display_name": "laptop"})
    call("GET", f"{API}/devices/{device}")
    call("POST", API + "/keys/query", {"device_keys": {me: []}})
    call("POST", API + "/search", {"search_categories": {"room_events": {"search_term": "message"}}})
    # A second device of the same person, by password.
    old = session.headers["Authorization"]
    _, second = enter(call("POST", API + "/login", {
        "type": "m.login.password", "identifier": {"type": "m.id.user", "user": name}, "password": word}))
    call("GET", f"{API}/sync?timeout=0")
    asked = call("DELETE", f"{API}/devices/{device}", {})
    call("DELETE", f"{API}/devices/{device}", {"auth": {
        "type": "m.login.password", "session": asked["session"], "password": word,
        "identifier": {"type": "m.id.user", "user": name}}})
    call("GET", API + "/account/whoami", headers={"Authorization": old})
    call("GET", f"{API}/devices")
    call("POST", f"{API}/rooms/{quote(rooms[2])}/leave", {})
    call("POST", f"{API}/rooms/{quote(rooms[2])}/forget", {})
    call("GET", API + "/joined_rooms")
    call("POST", API + "/logout", {})
    call("GET", API + "/account/whoami")


together(person)
