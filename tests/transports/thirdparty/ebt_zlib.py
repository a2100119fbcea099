"""zlib://host:port: TCP with every frame compressed."""

import zlib

import trio

from ebt_trio import connect, listen
from ebt_trio.abc import Listener, Transport
from ebt_trio.errors import FrameTooLarge, RemoteProtocolError


class ZlibTransport(Transport):
    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.peer_id = inner.peer_id
        self.address = inner.address

    async def send(self, item: bytes) -> None:
        await self._inner.send(zlib.compress(item))

    async def receive(self) -> bytes:
        self._inner.max_frame = self.max_frame + self.max_frame // 1000 + 64  # what cannot be compressed grows a little
        item = await self._inner.receive()
        decompressor = zlib.decompressobj()
        try:
            frame = decompressor.decompress(item, self.max_frame + 1)  # never more, whatever was sent
        except zlib.error as exc:
            raise RemoteProtocolError(f"expected a zlib stream from {self.address}: {exc}") from exc
        if len(frame) > self.max_frame:
            raise FrameTooLarge(f"expected at most {self.max_frame} bytes from {self.address}, got more")
        return frame

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()


class ZlibListener(Listener):
    def __init__(self, inner: Listener) -> None:
        self._inner = inner
        self.urls = [url.replace("tcp://", "zlib://") for url in inner.urls]

    async def serve(self, handler, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        await self._inner.serve(lambda inner: handler(ZlibTransport(inner)), task_status=task_status)

    async def aclose(self) -> None:
        await self._inner.aclose()


class ZlibScheme:
    async def connect(self, url: str) -> Transport:
        return ZlibTransport(await connect(url.replace("zlib://", "tcp://")))

    async def listen(self, url: str) -> Listener:
        return ZlibListener(await listen(url.replace("zlib://", "tcp://")))


scheme = ZlibScheme()
