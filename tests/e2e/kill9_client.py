"""For kill9.py: the server under test as a process, and a small client of its queue with Hawk signatures of its own."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import quote

from kill9_ledger import Problem

ANSWER_SECONDS_MAX = 10
CLAIM_SECONDS_MAX = 3  # less than the server's long poll: a client that finds nothing to do goes on
START_SECONDS_MAX = 20
PREFIX = "/api/queue/v1"


class Unanswered(Exception):
    """The connection broke before the answer was complete."""


class Refused(Problem):
    """Answered with a status that was not expected."""

    def __init__(self, text, status):
        super().__init__(text)
        self.status = status


def time_text(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_task_id(source):
    """A slugid: a version 4 UUID in base64url."""
    raw = bytearray(source.randbytes(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass(frozen=True)
class Credentials:
    client_id: str
    access_token: str
    ext: str = ""

    @staticmethod
    def of(document):
        ext = ""
        if "certificate" in document:
            ext = base64.b64encode(json.dumps({"certificate": json.loads(document["certificate"])}).encode()).decode()
        return Credentials(document["clientId"], document["accessToken"], ext)


def hawk_header(credentials, method, target, host, port):
    """Hawk 1 as its specification has it."""
    stamp, nonce = str(int(time.time())), base64.urlsafe_b64encode(os.urandom(6)).decode()
    lines = ["hawk.1.header", stamp, nonce, method, target, host, str(port), "", credentials.ext, ""]
    mac = hmac.new(credentials.access_token.encode(), "\n".join(lines).encode(), hashlib.sha256).digest()
    ext = f', ext="{credentials.ext}"' if credentials.ext else ""
    return f'Hawk id="{credentials.client_id}", ts="{stamp}", nonce="{nonce}"{ext}, mac="{base64.b64encode(mac).decode()}"'


class Server:
    """`gantry dev` on one data directory and, from its first start on, one port."""

    def __init__(self, program, scratch):
        self.program = program
        self.data = scratch / "data"
        self.log = scratch / "log"
        self.host, self.port = "127.0.0.1", 0
        self.process = None
        self.root = None

    def launch(self):
        (self.data / "endpoint").unlink(missing_ok=True)
        with open(self.log, "ab") as log:
            # Nobody works on the agent's own queue.
            self.process = subprocess.Popen(
                [self.program, "dev", "--data-dir", self.data, "--listen", f"{self.host}:{self.port}",
                 "--task-queue", "other/queue"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def start(self):
        """Until it answers; how many seconds that took."""
        started = time.monotonic()
        self.launch()
        while not self.answers():
            if self.process.poll() is not None:
                raise Problem(f"gantry dev ended with {self.process.returncode}: {self.log.read_text()[-500:]}")
            if time.monotonic() - started > START_SECONDS_MAX:
                raise Problem(f"gantry dev does not answer {START_SECONDS_MAX} s after its start")
            time.sleep(0.005)
        return time.monotonic() - started

    def answers(self):
        if not self.port or not self.root:
            try:
                self.port = int((self.data / "endpoint").read_text().strip().rsplit(":", 1)[1])
                self.root = Credentials.of(json.loads((self.data / "credentials.json").read_text()))
            except FileNotFoundError:
                return False
        try:
            return Api(self, self.root).get("/ping").get("alive", False)
        except Unanswered:
            return False

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Counter:
    def __init__(self):
        self.lock = threading.Lock()
        self.answered = self.unanswered = 0

    def add(self, answered):
        with self.lock:
            self.answered += answered
            self.unanswered += not answered


class Api:
    """Signed requests, one connection a thread. An answer counts only when the last byte of its body has been read."""

    counter = Counter()

    def __init__(self, server, credentials):
        self.server = server
        self.credentials = credentials
        self.connections = threading.local()

    def get(self, path, expected=(200,)):
        return self.call("GET", path, None, expected)

    def put(self, path, body):
        return self.call("PUT", path, body, (200,))

    def post(self, path, body=None, expected=200):
        return self.call("POST", path, body, (expected,))

    def claim_work(self, queue, body):
        """None if there was nothing to claim within CLAIM_SECONDS_MAX."""
        try:
            return self.call("POST", f"/claim-work/{quote(queue, safe='')}", body, (200,), CLAIM_SECONDS_MAX)
        except TimeoutError:
            return None

    def call(self, method, path, body, expected, seconds_max=ANSWER_SECONDS_MAX):
        target = PREFIX + path
        host, port = self.server.host, self.server.port
        headers = {"authorization": hawk_header(self.credentials, method, target, host, port)}
        text = None
        if body is not None:
            text = json.dumps(body)
            headers["content-type"] = "application/json"
        elif method != "GET":
            text = ""
        try:
            status, answer = self.exchange(method, target, text, headers, seconds_max)
        except TimeoutError as error:
            self.forget()
            if seconds_max == CLAIM_SECONDS_MAX:
                raise
            raise Problem(f"{method} {path}: no answer within {seconds_max} s") from error
        except (OSError, http.client.HTTPException) as error:
            self.forget()
            if not isinstance(error, ConnectionRefusedError):
                self.counter.add(answered=False)
            raise Unanswered(f"{method} {path}: {type(error).__name__}: {error}") from error
        self.counter.add(answered=True)
        if status not in expected:
            raise Refused(f"{method} {path}: {status}, not {expected}: {answer[:300]!r}", status)
        return json.loads(answer)

    def exchange(self, method, target, text, headers, seconds_max):
        connection = getattr(self.connections, "open", None)
        if connection is None:
            connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=seconds_max)
            connection.connect()
            self.connections.open = connection
        connection.sock.settimeout(seconds_max)
        connection.request(method, target, text, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.will_close:
            self.forget()
        return response.status, answer

    def forget(self):
        connection = getattr(self.connections, "open", None)
        if connection is not None:
            connection.close()
        self.connections.open = None
