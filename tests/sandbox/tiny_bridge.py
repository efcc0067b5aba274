"""The least that answers a telephone with a speaking model: for tests of the world around it."""

import asyncio
import base64
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.sandbox.twiml_server import Stream

GREETING = "Bonjour, vous êtes en ligne avec l'assistante vocale. Que puis-je faire pour vous ?"


class TinyBridge:
    """One media stream ⇄ one Realtime session. `results`: what each function answers."""

    def __init__(self, openai_url: str, key: str, results: dict[str, dict[str, Any]]) -> None:
        self._url = openai_url.replace("http", "ws") + "/realtime?model=gpt-realtime"
        self._key = key
        self._results = results

    async def __call__(self, stream: Stream) -> None:
        headers = {"Authorization": f"Bearer {self._key}"}
        async with connect(self._url, additional_headers=headers, proxy=None) as model:
            line = _Line(stream, model, self._results)
            async with asyncio.TaskGroup() as tasks:
                hearing = tasks.create_task(line.hear_caller())
                speaking = tasks.create_task(line.obey_model())
                hearing.add_done_callback(lambda _: speaking.cancel())
                speaking.add_done_callback(lambda _: hearing.cancel())


class _Line:
    def __init__(
        self, stream: Stream, model: ClientConnection, results: dict[str, dict[str, Any]]
    ) -> None:
        self._stream = stream
        self._model = model
        self._results = results
        self._item = ""
        self._began = 0.0  # when the caller began to hear the item
        self._sent_ms = 0
        self._marks = 0
        self._farewell = False

    async def hear_caller(self) -> None:
        at = 0
        while True:
            while at == len(self._stream.messages):
                self._stream.changed.clear()
                await self._stream.changed.wait()
            message = self._stream.messages[at]
            at += 1
            if message["event"] == "media":
                await self._tell("input_audio_buffer.append", audio=message["media"]["payload"])
            elif message["event"] == "mark" and message["mark"]["name"] == str(self._marks):
                if self._farewell:
                    return
            elif message["event"] == "closed":
                return

    async def obey_model(self) -> None:
        tools = [
            {"type": "function", "name": name, "description": name}
            | {"parameters": {"type": "object", "properties": {"date": {"type": "string"}}}}
            for name in (*self._results, "end_call")
        ]
        pcmu = {"type": "audio/pcmu"}
        detection = {"type": "server_vad", "create_response": True, "interrupt_response": True}
        session = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": "Tu réponds au téléphone.",
            "audio": {
                "input": {"format": pcmu, "turn_detection": detection},
                "output": {"format": pcmu, "voice": "marin"},
            },
            "tools": tools,
        }
        await self._tell("session.update", session=session)
        await self._tell("response.create", response={"instructions": f"Dis : « {GREETING} »"})
        async for text in self._model:
            await self._on(json.loads(text))

    async def _on(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "response.output_audio.delta":
            await self._play(event["item_id"], event["delta"])
        elif kind == "input_audio_buffer.speech_started" and self._item:
            await self._stream.say("clear")
            heard = (asyncio.get_running_loop().time() - self._began) * 1000
            await self._tell(
                "conversation.item.truncate",
                item_id=self._item,
                content_index=0,
                audio_end_ms=int(min(heard, self._sent_ms)),
            )
            self._item = ""
        elif kind == "response.function_call_arguments.done":
            await self._answer(event)

    async def _play(self, item_id: str, payload: str) -> None:
        now = asyncio.get_running_loop().time()
        if item_id != self._item:
            self._item, self._began, self._sent_ms = item_id, now, 0
        self._sent_ms += len(base64.b64decode(payload)) // 8
        self._marks += 1
        await self._stream.say("media", {"payload": payload})
        await self._stream.say("mark", {"name": str(self._marks)})

    async def _answer(self, call: dict[str, Any]) -> None:
        if call["name"] == "end_call":
            self._farewell = True
            return
        output = json.dumps(self._results[call["name"]])
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": output}
        await self._tell("conversation.item.create", item=item)
        await self._tell("response.create")

    async def _tell(self, kind: str, **fields: Any) -> None:
        await self._model.send(json.dumps({"type": kind, **fields}))
