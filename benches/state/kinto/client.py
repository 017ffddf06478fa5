"""People with accounts, buckets and records, through the application's own client library."""

import sys

import kinto_http
import requests
from kinto_http import KintoException
from users import together

URL = sys.argv[1] + "/v1"


def person(number, pause):
    name, word = f"person{number}", f"pass-word-{number}"
    requests.put(f"{URL}/accounts/{name}", json={"data": {"password": word}}).raise_for_status()
    pause()
    client = kinto_http.Client(server_url=URL, auth=(name, word), retry=0)

    def trying(call, *args, **named):
        pause()
        try:
            return call(*args, **named)
        except KintoException as refused:
            return refused.response

    trying(client.server_info)
    bucket = trying(client.create_bucket, id=f"blog-{number}")["data"]["id"]
    posts = trying(client.create_collection, id="posts", bucket=bucket)["data"]["id"]
    where = {"bucket": bucket, "collection": posts}
    records = []
    for turn in range(5):
        text = {"title": f"post {turn}", "rank": turn, "draft": turn % 2 == 0}
        records.append(trying(client.create_record, data=text, **where)["data"])
    for record in records[:3]:
        seen = trying(client.get_record, id=record["id"], **where)["data"]
        seen["title"] += ", revised"
        revised = trying(client.update_record, data=seen, safe=True, **where)["data"]
        stale = dict(seen, title="lost")
        trying(client.update_record, data=stale, if_match=record["last_modified"], **where)
        trying(client.patch_record, id=record["id"], data={"read": True}, **where)
        trying(client.get_record, id=revised["id"], **where)
    trying(client.get_records, _sort="-rank", _limit=2, **where)
    trying(client.get_records, _since=records[2]["last_modified"], **where)
    trying(client.get_records_timestamp, **where)
    with client.batch(bucket=bucket, collection=posts) as batch:
        for turn in range(3):
            batch.create_record(data={"title": f"batched {turn}"})
        batch.patch_record(id=records[4]["id"], data={"title": "batched too"})
    pause()
    group = trying(client.create_group, id="friends", bucket=bucket, data={"members": []})
    trying(
        client.update_group,
        id="friends",
        bucket=bucket,
        data={"members": [f"account:person{number + 1}"]},
        if_match=group["data"]["last_modified"],
    )
    trying(client.delete_record, id=records[3]["id"], if_match=records[3]["last_modified"], **where)
    trying(client.get_record, id=records[3]["id"], **where)
    trying(client.get_records, **where)

    # What the library asks by itself only now and then: a page that did not change.
    session = requests.Session()
    session.auth = (name, word)
    listing = f"{URL}/buckets/{bucket}/collections/{posts}/records"
    first = session.get(listing)
    pause()
    session.get(listing, headers={"If-None-Match": first.headers["ETag"]})
    pause()
    session.post(f"{URL}/buckets/default/collections/notes/records", json={"data": {"text": "mine"}})
    pause()
    session.get(f"{URL}/buckets/default/collections/notes/records")
    pause()
    trying(client.delete_records, **where)
    trying(client.get_permissions if hasattr(client, "get_permissions") else client.server_info)
    trying(client.delete_bucket, id=bucket)
    session.delete(f"{URL}/accounts/{name}")


together(person)
