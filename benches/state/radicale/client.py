"""Three users of calendars, one after the other: events, updates under a condition, sync tokens."""

import re
import sys

import requests

EVENT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//bench//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n"
    "DTSTAMP:20260101T100000Z\r\nDTSTART:2026010{day}T100000Z\r\nDTEND:2026010{day}T110000Z\r\n"
    "SUMMARY:{title}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
SYNC = (
    '<sync-collection xmlns="DAV:"><sync-token>{token}</sync-token>'
    "<prop><getetag/></prop></sync-collection>"
)
CALENDAR = '<C:mkcalendar xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"/>'


def user(url, number):
    session = requests.Session()
    session.auth = (f"user{number}", "pw")
    calendar = f"{url}/user{number}/plans/"

    def say(method, target, body=None, **fields):
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        return session.request(method, target, data=body, headers=headers)

    def synced(token):
        found = re.findall(r"sync-token>([^<]*)<", say("REPORT", calendar, SYNC.format(token=token)).text)
        return found[-1] if found else ""

    say("MKCALENDAR", calendar, CALENDAR)
    token = synced("")
    tags = {}
    for day in range(1, 6):
        event = f"{calendar}{number}{day}.ics"
        body = EVENT.format(uid=f"{number}-{day}@bench", day=day, title=f"plan {day}")
        say("PUT", event, body, Content_Type="text/calendar", If_None_Match="*")
        tags[event] = say("GET", event).headers["ETag"]
    for day, (event, tag) in enumerate(list(tags.items())[:3], 1):
        body = EVENT.format(uid=f"{number}-{day}@bench", day=7, title="moved")
        answer = say("PUT", event, body, Content_Type="text/calendar", If_Match=tag)
        tags[event] = answer.headers["ETag"]
        say("PUT", event, body, Content_Type="text/calendar", If_Match=tag)  # too late: 412
    token = synced(token)
    event = f"{calendar}{number}5.ics"
    say("DELETE", event, If_Match=tags[event])
    synced(token)


for number in range(3):
    user(sys.argv[1], number)
