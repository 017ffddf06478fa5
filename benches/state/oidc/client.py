"""Applications that register, and people who log in to them in a browser and agree."""

import base64
import hashlib
import secrets
import sys
from urllib.parse import parse_qs, urlsplit

import requests
from browser import Browser
from users import together

URL = sys.argv[1]
BACK = "https://app{}.example.test/cb"


def person(number, pause):
    back = BACK.format(number)
    app = requests.Session()
    app.headers["User-Agent"] = f"app/{number}"
    made = app.post(URL + "/reg", json={"redirect_uris": [back], "client_name": f"App {number}",
                    "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
                    "post_logout_redirect_uris": [back], "response_types": ["code"]}).json()
    pause()
    app.get(made["registration_client_uri"], headers={"Authorization": "Bearer " + made["registration_access_token"]})
    basic = (made["client_id"], made["client_secret"])
    browser = Browser(URL, number, pause)
    for turn in range(3):
        verifier, state = secrets.token_urlsafe(40), secrets.token_urlsafe(12)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        page = browser.get("/auth", allow_redirects=False, params={
            "client_id": made["client_id"], "redirect_uri": back, "response_type": "code", "scope": "openid offline_access email",
            "prompt": "consent", "state": state, "nonce": secrets.token_urlsafe(12), "code_challenge": challenge,
            "code_challenge_method": "S256"})
        while not page.headers.get("location", "").startswith(back):
            if "location" in page.headers:
                page = browser.get(page.headers["location"], allow_redirects=False)
            elif 'name="login"' in page.text:
                page = browser.submit("login", follow=False, login=f"person{number}", password="word")
            elif 'value="consent"' in page.text:
                page = browser.submit("prompt", follow=False)
            else:
                raise LookupError(page.text[:2000])
        code = parse_qs(urlsplit(page.headers["location"]).query)["code"][0]
        told = app.post(URL + "/token", auth=basic, data={"grant_type": "authorization_code", "code": code,
                        "redirect_uri": back, "code_verifier": verifier}).json()
        pause()
        bearer = {"Authorization": "Bearer " + told["access_token"]}
        app.get(URL + "/me", headers=bearer)
        app.get(URL + "/jwks")
        again = app.post(URL + "/token", auth=basic, data={"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}).json()
        pause()
        app.get(URL + "/me", headers={"Authorization": "Bearer " + again["access_token"]})
        app.post(URL + "/token/introspection", auth=basic, data={"token": again["access_token"]})
        app.post(URL + "/token/revocation", auth=basic, data={"token": again["access_token"]})
        app.post(URL + "/token/introspection", auth=basic, data={"token": again["access_token"]})
        pause()
        # A code is good once.
        app.post(URL + "/token", auth=basic, data={"grant_type": "authorization_code", "code": code,
                 "redirect_uri": back, "code_verifier": verifier})
    device = app.post(URL + "/device/auth", auth=basic, data={"scope": "openid"}).json()
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device["device_code"]}
    app.post(URL + "/token", auth=basic, data=grant)
    browser.get("/device")
    browser.submit("user_code", user_code=device["user_code"])
    page = browser.submit("confirm", follow=False)
    while "location" in page.headers or 'value="consent"' in page.text:
        if "location" in page.headers:
            page = browser.get(page.headers["location"], allow_redirects=False)
        else:
            page = browser.submit("prompt", follow=False)
    app.post(URL + "/token", auth=basic, data=grant)
    browser.get("/session/end", params={"id_token_hint": told["id_token"], "post_logout_redirect_uri": back})
    browser.submit("xsrf", follow=False, logout="yes")
    app.post(URL + "/token", auth=basic, data={"grant_type": "refresh_token", "refresh_token": again.get("refresh_token", "")})
    app.delete(made["registration_client_uri"], headers={"Authorization": "Bearer " + made["registration_access_token"]})


together(person)
