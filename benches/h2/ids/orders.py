"""A service that numbers what it creates, and a client of it: orders.py serve PORT FIRST|call PORT."""
import sys
import threading
import time

import grpc
from concurrent import futures
import shop_pb2 as pb
import shop_pb2_grpc as rpc


class Orders(rpc.OrdersServicer):
    def __init__(self, first):
        self.lock, self.orders, self.order, self.item = threading.Lock(), {}, first, 10 * first

    def CreateOrder(self, request, context):
        with self.lock:
            made = pb.Order(id=self.order, customer=request.customer, amount=request.amount)
            self.orders[made.id] = made
            self.order += 1
        return made

    def found(self, number, context):
        order = self.orders.get(number)
        return order or context.abort(grpc.StatusCode.NOT_FOUND, f'no order {number}')

    def GetOrder(self, request, context):
        return self.found(request.id, context)

    def AddItem(self, request, context):
        order = self.found(request.order_id, context)
        with self.lock:
            item = order.items.add(id=self.item, sku=request.sku, quantity=request.quantity)
            self.item += 1
        return item

    def RemoveItem(self, request, context):
        order = self.found(request.order_id, context)
        for at, item in enumerate(order.items):
            if item.id == request.item_id:
                del order.items[at]
                return pb.Empty()
        return context.abort(grpc.StatusCode.NOT_FOUND, 'no item')

    def ListOrders(self, request, context):
        listed = [self.orders[number] for number in sorted(self.orders)]
        return pb.ListOrdersResponse(orders=listed[:request.page_size])

    def WatchOrder(self, request, context):
        for _ in range(3):
            yield self.found(request.id, context)


def serve(port, first):
    server = grpc.server(futures.ThreadPoolExecutor(16))
    rpc.add_OrdersServicer_to_server(Orders(int(first)), server)
    server.add_insecure_port('127.0.0.1:' + port)
    server.start()
    server.wait_for_termination()


def call(port):
    for user in range(4):
        options = [('grpc.use_local_subchannel_pool', 1)]
        with grpc.insecure_channel('127.0.0.1:' + port, options=options) as channel:
            stub = rpc.OrdersStub(channel)
            for n in range(4):
                order = stub.CreateOrder(pb.CreateOrderRequest(customer=f'ann{user}', amount=n + 1))
                time.sleep(0.01)
                first = stub.AddItem(pb.AddItemRequest(order_id=order.id, sku=f'K-{n}', quantity=n + 1))
                stub.AddItem(pb.AddItemRequest(order_id=order.id, sku=f'L-{n}', quantity=1))
                stub.GetOrder(pb.GetOrderRequest(id=order.id))
                stub.RemoveItem(pb.RemoveItemRequest(order_id=order.id, item_id=first.id))
                list(stub.WatchOrder(pb.GetOrderRequest(id=order.id)))
                stub.ListOrders(pb.ListOrdersRequest(page_size=3))


{'serve': serve, 'call': call}[sys.argv[1]](*sys.argv[2:])
