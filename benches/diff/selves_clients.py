"""Seeded clients for the servers of selves.sh: selves_clients.py nginx|json-server|flask PORT. Four sessions side by side."""
import http.client, json, random, sys, threading, time

app, port = sys.argv[1], int(sys.argv[2])


def session(seed):
    dice = random.Random(seed)
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def ask(method, target, body=None, **fields):
        time.sleep(dice.random() * 0.02)
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if body is not None:
            headers["Content-Type"] = "application/json"
        line.request(method, target, body and json.dumps(body), headers)
        answer = line.getresponse()
        content = answer.read()
        return json.loads(content) if answer.headers.get_content_type() == "application/json" and content else content

    if app == "nginx":
        for _ in range(60):
            target = dice.choice(["/", "/rates.json", "/teapot", "/moved", "/nowhere", *(f"/{n}.txt" for n in range(1, 31))])
            fields = dice.choice([{}, {"Accept_Encoding": "gzip"}, {"Range": "bytes=10-90"}, {"If_Modified_Since": "Thu, 01 Jan 2015 00:00:00 GMT"}])
            ask(dice.choice(["GET", "GET", "GET", "HEAD"]), target, **fields)
    elif app == "json-server":
        for n in range(25):
            ask("GET", dice.choice(["/posts", "/posts/1", "/posts/2", "/profile", "/comments?postId=1", "/posts?_sort=views&_order=desc", "/posts/99"]))
            if seed == 0 and n % 5 == 0:
                made = ask("POST", "/comments", {"body": f"comment {n}", "postId": 2})
                ask("GET", f"/comments/{made['id']}")
                ask("PATCH", f"/comments/{made['id']}", {"body": f"changed {n}"})
                ask("PUT", "/profile", {"name": f"name {n}"})
                ask("DELETE", f"/comments/{made['id']}")
    else:
        for n in range(6):
            ask("GET", "/")
            token = ask("POST", "/login", {"user": f"user-{seed}", "password": "correct horse 9"})["token"]
            fields = {"Authorization": f"Bearer {token}"}
            ask("GET", "/me", **fields)
            ask("GET", "/items")
            cart = ask("POST", "/carts", {}, **fields)
            for _ in range(3):
                ask("POST", f"/carts/{cart['id']}/items", {"sku": f"sku-{dice.randrange(6)}"}, **fields)
            ask("POST", "/orders", {"cart": cart["id"]}, **fields)
            ask("GET", "/me", Authorization="Bearer nonsense")


threads = [threading.Thread(target=session, args=(seed,)) for seed in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
