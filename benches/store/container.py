#!/usr/bin/env python3
"""Makes the container `captures` at an Azurite on loopback, with its published account and key (shared key, version 2021-08-06)."""
import base64, hashlib, hmac, sys, urllib.request
from email.utils import formatdate

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
date = formatdate(usegmt=True)
headers = f"x-ms-date:{date}\nx-ms-version:2021-08-06\n"
resource = f"/{ACCOUNT}/{ACCOUNT}/captures\nrestype:container"
signed = "PUT" + "\n" * 12 + headers + resource
signature = base64.b64encode(hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()).decode()
request = urllib.request.Request(
    f"http://127.0.0.1:{sys.argv[1]}/{ACCOUNT}/captures?restype=container", method="PUT",
    headers={"x-ms-date": date, "x-ms-version": "2021-08-06", "Authorization": f"SharedKey {ACCOUNT}:{signature}", "Content-Length": "0"})
urllib.request.urlopen(request)
