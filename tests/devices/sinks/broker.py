"""A real broker, mosquitto, and a client that listens to it."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from pathlib import Path


class Broker:
    """mosquitto on one port of loopback; it can be killed and started again."""

    def __init__(self, program, port, folder: Path, *extra):
        self.port, self._program, self._config = port, program, folder / "mosquitto.conf"
        open_door = [] if extra else ["allow_anonymous true"]
        lines = [f"listener {port} 127.0.0.1", "persistence false", "user root", *open_door, *extra]
        self._config.write_text("\n".join(lines) + "\n")
        self.start()

    def start(self):
        command = [self._program, "-c", str(self._config)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < end, "mosquitto did not start"
                time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Listener:
    """Keeps every message of a broker, (topic, payload, retained), and connects again when it is lost."""

    def __init__(self, port, topic="#", **login):
        import paho.mqtt.client as mqtt

        self.messages, self.ready = [], threading.Event()
        self._lock = threading.Lock()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.reconnect_delay_set(0.05, 0.1)
        if "user" in login:
            self.client.username_pw_set(login["user"], login["password"])
        if "ca" in login:
            self.client.tls_set(str(login["ca"]))
        self.client.on_connect = lambda *_: self.client.subscribe(topic, qos=1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_disconnect = lambda *_: self.ready.clear()
        self.client.on_message = self._keep
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(5)

    def _keep(self, _client, _data, message):
        with self._lock:
            self.messages.append((message.topic, message.payload, message.retain))

    def of(self, leaf):
        with self._lock:
            return [payload for topic, payload, _ in self.messages if topic.endswith(leaf)]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()
