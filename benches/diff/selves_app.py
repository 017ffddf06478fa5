"""A shop of Flask that issues ids, tokens and times anew at each start, and lists some things in any order."""
import datetime, random, secrets, uuid

from flask import Flask, jsonify, make_response, request

app = Flask(__name__)
app.secret_key = secrets.token_bytes(16)
carts, tokens, orders = {}, {}, []
STOCK = {f"sku-{n}": {"price": 100 + 7 * n, "name": name} for n, name in enumerate(["ash", "birch", "cedar", "elm", "fir", "hazel"])}


def now():
    return datetime.datetime.now(datetime.timezone.utc)


@app.get("/")
def home():
    nonce = secrets.token_urlsafe(16)
    page = f'<html><head><script nonce="{nonce}">start("{uuid.uuid4()}")</script></head><body><p>It is {now():%d %B %Y %H:%M:%S}.</p></body></html>'
    answer = make_response(page)
    answer.headers["Content-Security-Policy"] = f"script-src 'nonce-{nonce}'"
    return answer


@app.post("/login")
def login():
    token = secrets.token_urlsafe(24)
    tokens[token] = request.json["user"]
    answer = jsonify(token=token, expires=(now() + datetime.timedelta(hours=1)).isoformat())
    answer.set_cookie("sid", secrets.token_hex(16), httponly=True)
    return answer


def user():
    return tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))


@app.get("/me")
def me():
    return jsonify(user=user()) if user() else (jsonify(error="no such token"), 401)


@app.get("/items")
def items():
    names = list(STOCK)
    random.shuffle(names)
    return jsonify(items=[{"sku": name, **STOCK[name]} for name in names], trace=secrets.token_hex(8))


@app.post("/carts")
def cart():
    if not user():
        return jsonify(error="no such token"), 401
    number = str(uuid.uuid4())
    carts[number] = []
    return jsonify(id=number, href=f"/carts/{number}"), 201


@app.post("/carts/<number>/items")
def add(number):
    if number not in carts:
        return jsonify(error="no such cart"), 404
    carts[number].append(request.json["sku"])
    return jsonify(id=number, total=sum(STOCK[sku]["price"] for sku in carts[number]), items=carts[number])


@app.post("/orders")
def order():
    number = request.json["cart"]
    if number not in carts:
        return jsonify(error="no such cart"), 404
    orders.append(number)
    total = sum(STOCK[sku]["price"] for sku in carts[number])
    return jsonify(order=f"ord_{secrets.token_hex(12)}", total=total, placed=now().isoformat(timespec="milliseconds"), items=carts[number]), 201
