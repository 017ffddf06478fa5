"""People with indexes of their own: accounts, logins, uploads, pages of files."""

import base64
import hashlib
import io
import re
import sys
import zipfile

import requests
from users import together

URL = sys.argv[1]


def wheel(name, version):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        def put(path, text):
            file.writestr(zipfile.ZipInfo(path), text)
        put(f"{name}/__init__.py", f"name = '{name}'\n")
        put(f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return data.getvalue()


def person(number, pause):
    http = requests.Session()
    http.headers.update({"User-Agent": f"devpi-client/{number}", "Accept": "application/json"})
    user = f"person{number}"

    def say(method, path, body=None, **more):
        answer = http.request(method, URL + path, json=body, **more)
        pause()
        return answer

    say("PUT", f"/{user}", {"password": "pass-word", "email": f"{user}@example.test"})
    say("POST", "/+login", {"user": user, "password": "wrong"})
    told = say("POST", "/+login", {"user": user, "password": "pass-word"}).json()["result"]
    http.headers["X-Devpi-Auth"] = base64.b64encode(f"{user}:{told['password']}".encode()).decode()
    say("GET", "/+api")
    say("PUT", f"/{user}/dev", {"type": "stage", "bases": [], "volatile": True})
    say("PUT", f"/{user}/prod", {"type": "stage", "bases": [f"{user}/dev"], "volatile": True})
    say("PATCH", f"/{user}/dev", ["title=Own things"])
    for turn in range(3):
        name, version = f"thing{number}", f"1.{turn}"
        data = wheel(name, version)
        form = {":action": "file_upload", "name": name, "version": version, "filetype": "bdist_wheel", "pyversion": "py3",
                "metadata_version": "2.1", "sha256_digest": hashlib.sha256(data).hexdigest()}
        http.post(f"{URL}/{user}/dev/", data=form, files={"content": (f"{name}-{version}-py3-none-any.whl", data)})
        pause()
        page = say("GET", f"/{user}/dev/+simple/{name}/", headers={"Accept": "text/html"}).text
        link = re.findall(r'href="([^"#]+)', page)[-1]
        http.get(requests.compat.urljoin(f"{URL}/{user}/dev/+simple/{name}/", link))
        say("GET", f"/{user}/dev/{name}/{version}")
        say("POST", f"/{user}/dev", {"name": name, "version": version, "targetindex": f"{user}/prod"})
    say("GET", f"/{user}/prod/thing{number}")
    say("DELETE", f"/{user}/dev/thing{number}/1.0")
    say("PATCH", f"/{user}", {"password": "other-word"})
    say("GET", f"/{user}")
    say("DELETE", f"/{user}/prod")
    say("DELETE", f"/{user}/none")


together(person)
