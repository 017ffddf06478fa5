"""A browser as people use it: pages, and forms filled in with what the page has put into them."""

from html.parser import HTMLParser
from urllib.parse import urljoin

import requests


class Forms(HTMLParser):
    """The forms of a page: where each goes, how, and what it holds before anybody types."""

    def __init__(self, page):
        super().__init__()
        self.all, self.form, self.text, self.choice = [], None, None, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        of = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.form = {"action": of.get("action", ""), "method": of.get("method", "get").lower(), "fields": {}}
            self.form["multipart"] = "multipart" in of.get("enctype", "")
            self.all.append(self.form)
        if self.form is None or "disabled" in of:
            return
        fields, name = self.form["fields"], of.get("name")
        if tag == "option" and self.choice:
            if "selected" in of or self.choice not in fields:
                fields[self.choice] = of.get("value", "")
        elif tag == "input" and name:
            kind = of.get("type", "text").lower()
            is_chosen = kind not in ("checkbox", "radio") or "checked" in of
            if is_chosen and kind not in ("submit", "button", "image", "file", "reset"):
                fields[name] = of.get("value", "on" if kind == "checkbox" else "")
        elif tag == "textarea" and name:
            self.text, fields[name] = name, ""
        elif tag == "select" and name and "multiple" not in of:
            self.choice = name

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)

    def handle_data(self, data):
        if self.form is not None and self.text:
            self.form["fields"][self.text] += data

    def handle_endtag(self, tag):
        if tag == "textarea" and self.text:
            if self.form is not None:
                # A browser leaves out the line end behind the tag.
                fields = self.form["fields"]
                fields[self.text] = fields[self.text].removeprefix("\n")
            self.text = None
        elif tag == "select":
            self.choice = None
        elif tag == "form":
            self.form = None


class Browser:
    """One person's browser, with a pause after each page."""

    def __init__(self, url, number, pause):
        self.url, self.pause = url, pause
        self.session = requests.Session()
        self.session.headers["User-Agent"] = f"Mozilla/5.0 (X11; Linux x86_64) Person/{number}"
        self.page = None

    def get(self, path, **more):
        self.page = self.session.get(urljoin(self.url, path), **more)
        self.pause()
        return self.page

    def submit(self, has, follow=True, files=None, drop=(), **typed):
        """Sends the form of the page that has a field (or whose action has a text), with what was typed."""
        page = self.page
        forms = Forms(page.text).all
        form = next((f for f in forms if has in f["fields"] or has in f["action"]), None)
        if form is None:
            raise LookupError(f"no form with {has} on {page.url} ({page.status_code})")
        target = urljoin(page.url, form["action"] or page.url)
        fields = {name: value for name, value in form["fields"].items() if name not in drop} | typed
        more = {"headers": {"Referer": page.url}, "allow_redirects": follow}
        if form["method"] == "get":
            self.page = self.session.get(target, params=fields, **more)
        elif files or form["multipart"]:
            parts = [(name, (None, value)) for name, value in fields.items()]
            self.page = self.session.post(target, files=parts + list((files or {}).items()), **more)
        else:
            self.page = self.session.post(target, data=fields, **more)
        self.pause()
        return self.page
