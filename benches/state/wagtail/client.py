"""Editors of a site, as a browser would send it: forms with CSRF, pages, an image, a search, a logout."""

import io
import re
import struct
import sys
import zlib

import requests
from users import together

URL = sys.argv[1]


def picture(shade):
    """A PNG of 8 by 8 pixels."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + bytes([shade, 90, 200]) * 8 for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def fields(page):
    """What the forms of a page would send if nothing were typed."""
    found = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and 'type="hidden"' in tag:
            found[name[1]] = value[1] if value else ""
    return found


def person(number, pause):
    browser = requests.Session()
    browser.headers["User-Agent"] = f"Mozilla/5.0 (X11) Editor/{number}"

    def get(path, **named):
        answer = browser.get(URL + path, **named)
        pause()
        return answer

    def post(path, page, files=None, **typed):
        # Where a page has no form of its own its scripts send the cookie's token.
        token = fields(page.text).get("csrfmiddlewaretoken") or browser.cookies["csrftoken"]
        sent = {"csrfmiddlewaretoken": token, **typed}
        referer = {"Referer": page.url}
        answer = browser.post(URL + path, data=sent, files=files, headers=referer)
        pause()
        return answer

    get("/")
    get("/admin/")
    login = get("/admin/login/?next=/admin/")
    login = post("/admin/login/", login, username=f"editor{number}", password="no", next="/admin/")
    word = {"username": f"editor{number}", "password": "pass-word", "next": "/admin/"}
    post("/admin/login/", login, **word)
    get("/admin/pages/3/")
    pages = []
    for turn in range(3):
        form = get("/admin/pages/add/home/homepage/3/")
        text = {"title": f"Page {number} {turn}", "slug": f"page-{number}-{turn}"}
        plain = {"seo_title": "", "search_description": "", "comments-TOTAL_FORMS": "0"}
        plain |= {"comments-INITIAL_FORMS": "0", "go_live_at": "", "expire_at": ""}
        made = post("/admin/pages/add/home/homepage/3/", form, **text, **plain)
        page = re.search(r"/admin/pages/(\d+)/edit/", made.url + made.text)
        if not page:
            print("no page was made:", made.status_code, made.url)
            continue
        pages.append(page[1])
        edit = f"/admin/pages/{page[1]}/edit/"
        form = get(edit)
        changed = dict(text, title=text["title"] + " changed", **plain)
        changed["action-publish"] = "action-publish"
        post(edit, form, **changed)
        get(f"/page-{number}-{turn}/")
        get(f"/admin/pages/{page[1]}/history/")
    form = get("/admin/images/add/")
    file = {"file": (f"photo{number}.png", io.BytesIO(picture(40 * number)), "image/png")}
    typed = {"title": f"Photo {number}", "collection": "1", "tags": "", "focal_point_x": ""}
    typed |= {"focal_point_y": "", "focal_point_width": "", "focal_point_height": ""}
    post("/admin/images/add/", form, files=file, **typed)
    images = get("/admin/images/?q=Photo")
    if found := re.search(rf"/admin/images/(\d+)/[^>]*>(?:(?!/admin/images/\d).)*Photo {number}", images.text, re.S):
        form = get(f"/admin/images/{found[1]}/")
        post(f"/admin/images/{found[1]}/delete/", form)
    get("/admin/pages/search/?q=changed")
    get("/django-admin/")
    for page in pages[:2]:
        form = get(f"/admin/pages/{page}/delete/")
        post(f"/admin/pages/{page}/delete/", form)
        get(f"/admin/pages/{page}/edit/")
    home = get("/admin/")
    post("/admin/logout/", home)
    get("/admin/")


together(person)
