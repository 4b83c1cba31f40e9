#!/usr/bin/env python3
"""A shell in a running task's container (docs/interactive.md): the command line at a terminal and in pipes, WebSockets by
hand, and what is refused."""

import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time

from agent_world import *

INTERACTIVE = {"interactive": True}


class WebSocket:
    """A client's side of RFC 6455, as little as the tests need."""

    def __init__(self, dev, target, headers=None):
        self.socket = socket.create_connection(("127.0.0.1", dev.port), timeout=30)
        headers = dict({"Host": f"127.0.0.1:{dev.port}", "Upgrade": "websocket", "Connection": "Upgrade",
                        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}, **(headers or {}))
        lines = [f"GET {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while line := self.file.readline().strip():
            name, value = line.decode().split(": ", 1)
            self.headers[name.lower()] = value
        self.body = self.file.read(int(self.headers.get("content-length", 0))) if self.status != 101 else b""

    @classmethod
    def signed(cls, dev, target):
        return cls(dev, target, {"Authorization": dev.sign("GET", target)})

    def send(self, payload, opcode=2):
        size = bytes([0x80 | len(payload)]) if len(payload) < 126 else bytes([0xFE]) + struct.pack(">H", len(payload))
        self.socket.sendall(bytes([0x80 | opcode]) + size + bytes(4) + payload)

    def read(self):
        """The next (opcode, payload); (8, ...) also if the connection has ended."""
        head = self.file.read(2)
        if len(head) < 2:
            return 8, b""
        size = head[1] & 0x7F
        if size == 126:
            size = struct.unpack(">H", self.file.read(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.file.read(8))[0]
        return head[0] & 0x0F, self.file.read(size)

    def message(self):
        """The next message; None at the end. Pings are answered."""
        while True:
            opcode, payload = self.read()
            if opcode == 9:
                self.send(payload, 10)
            elif opcode == 8:
                return None
            elif opcode == 2:
                return payload

    def expect(self, code):
        """The next message with this code."""
        while (message := self.message()) is not None:
            if message[0] == code:
                return message[1:]
        raise AssertionError(f"the socket was closed before a message {code}")

    def close(self):
        self.file.close()
        self.socket.close()


class Terminal:
    """`gantry ARGUMENTS` at a terminal of its own."""

    def __init__(self, dev, *arguments, rows=33, columns=101):
        self.screen = b""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ["GANTRY_DATA_DIR"] = dev.directory
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execv(GANTRY, [GANTRY] + list(arguments))
        self.before = termios.tcgetattr(self.master)

    def type(self, text):
        os.write(self.master, text.encode())

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_some(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the program has ended
            return False
        self.screen += data
        return bool(data)

    def see(self, pattern, seconds=20):
        until = time.monotonic() + seconds
        while not re.search(pattern, self.screen):
            left = until - time.monotonic()
            if left <= 0 or (not self.read_some(min(left, 1)) and self.has_ended()):
                raise AssertionError(f"{pattern!r} is not on the screen: {self.screen!r}")
        return re.search(pattern, self.screen)

    def is_raw(self):
        return not termios.tcgetattr(self.master)[3] & termios.ICANON

    def has_ended(self):
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def exit_code(self, seconds=20):
        """Negative: a signal's number. The terminal must be as it was."""
        until = time.monotonic() + seconds
        while not self.has_ended() and time.monotonic() < until:
            self.read_some(0.05)
        expect(self.has_ended(), f"the program ends: {self.screen!r}")
        while self.read_some(0.05):
            pass
        expect_equal(termios.tcgetattr(self.master)[3], self.before[3], "the terminal's modes")
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.master)
        return os.waitstatus_to_exitcode(status)


def gantry(dev, *arguments, stdin=b"", timeout=30, **environment):
    return subprocess.run([GANTRY] + list(arguments), input=stdin, capture_output=True, timeout=timeout,
                          env=dict(os.environ, GANTRY_DATA_DIR=dev.directory, NO_COLOR="1", **environment))


def interactive_task(dev, script="sleep 300", **payload):
    task = dev.shell(script, features=INTERACTIVE, **payload)
    dev.wait_running(task)
    return task


def socket_target(dev, task):
    url = dev.get(f"/v1/tasks/{task}/runs/0/shell-page")["socketUrl"]
    expect(url.startswith(f"ws://127.0.0.1:{dev.port}/"), url)
    return url[len(f"ws://127.0.0.1:{dev.port}"):]


def test_a_terminal():
    with Dev() as dev:
        task = interactive_task(dev)
        terminal = Terminal(dev, "task", "shell", task)
        terminal.see(rb"/ # ")
        expect(terminal.is_raw(), "every key goes to the shell")
        terminal.type("echo $((6*7)); hostname\n")
        terminal.see(rb"\r\n42\r\n")
        terminal.type("stty size\n")
        terminal.see(rb"\r\n33 101\r\n")
        terminal.resize(50, 140)
        terminal.type("sleep 1; stty size\n")
        terminal.see(rb"\r\n50 140\r\n")
        terminal.type("echo now $((1+1)); sleep 100\n")
        terminal.see(rb"\r\nnow 2\r\n")
        wait_for(lambda: "sleep 100" in dev.processes(task), 10, "it sleeps")
        terminal.type("\x03")  # ends the sleep, and neither this program nor the shell
        terminal.type("echo still $((40+2)) here\n")
        terminal.see(rb"\r\nstill 42 here\r\n")
        terminal.type("exit 7\n")
        expect_equal(terminal.exit_code(), 7)
        expect_equal(dev.state(task), "running", "the task goes on")
        dev.cancel(task)
        dev.expect_nothing_left()


def test_two_at_once_and_the_end_of_the_task():
    with Dev() as dev:
        task = interactive_task(dev, "while [ ! -e /end ]; do sleep 0.1; done")
        first, second = Terminal(dev, "task", "shell", task), Terminal(dev, "task", "shell", task, "--run", "0")
        first.see(rb"/ # ")
        second.see(rb"/ # ")
        first.type("echo from-the-first > /tmp/note\n")
        second.type("sleep 0.5; cat /tmp/note\n")
        second.see(rb"\r\nfrom-the-first\r\n")
        first.type("touch /end\n")
        ended = dev.wait_resolved(task)
        expect_equal(ended["state"], "completed")
        for terminal in (first, second):
            expect(terminal.exit_code() in (125, 129, 137), "the shells end with the task's command")
        dev.expect_nothing_left()


def test_pipes():
    with Dev() as dev:
        task = interactive_task(dev)
        answer = gantry(dev, "task", "shell", task, "--", "sh", "-c", "cat; echo err >&2; exit 3", stdin=b"one\ntwo\n")
        expect_equal((answer.returncode, answer.stdout, answer.stderr), (3, b"one\ntwo\n", b"err\n"))
        answer = gantry(dev, "task", "shell", task, stdin=b"echo $((6*7))\nexit 9\n")
        expect_equal((answer.returncode, answer.stdout), (9, b"42\n"), "a shell without a terminal")
        megabytes = 30
        data = os.urandom(megabytes << 20)
        began = time.monotonic()
        answer = gantry(dev, "task", "shell", task, "cat", stdin=data, timeout=120)
        expect_equal(answer.returncode, 0, answer.stderr)
        expect(answer.stdout == data, "what goes in comes out")
        print(f"    {megabytes / (time.monotonic() - began):.0f} MiB/s there and back")
        answer = gantry(dev, "task", "shell", task, "no-such-command")
        expect(answer.returncode in (125, 126, 127), f"{answer}")
        # Somebody who reads slowly gets everything, and nothing piles up.
        slow = subprocess.Popen([GANTRY, "task", "shell", task, "--", "sh", "-c", "head -c 60000000 /dev/zero"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=dict(os.environ, GANTRY_DATA_DIR=dev.directory))
        time.sleep(3)
        with open(f"/proc/{slow.pid}/status") as file:
            rss_kb = int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))
        expect(rss_kb < 60_000, f"{rss_kb} KB in the client of a reader that does not read")
        expect(dev.rss_kb() < 150_000, f"{dev.rss_kb()} KB in the server and agent")
        expect_equal(len(slow.stdout.read()), 60000000)
        expect_equal(slow.wait(), 0)


def test_the_example():
    with Dev() as dev:
        answer = subprocess.run([os.path.join(ROOT, "examples/interactive/look_around.sh")], capture_output=True, timeout=60,
                                env=dict(os.environ, GANTRY=os.path.abspath(GANTRY), GANTRY_DATA_DIR=dev.directory))
        expect_equal(answer.returncode, 0, answer.stderr)
        expect(re.search(rb"in the container of task [\w-]{22}:\n[^\n]*PID", answer.stdout), f"{answer.stdout}")
        expect(b"\n42\n" in answer.stdout and b"look around: gantry task shell" in answer.stdout, f"{answer.stdout}")
        dev.expect_nothing_left()


def test_what_is_refused():
    with Dev(slots=8) as dev:
        plain = dev.shell("sleep 300")
        ended = dev.create("true", features=INTERACTIVE)
        task = interactive_task(dev)
        dev.wait_running(plain)
        dev.wait_resolved(ended)
        for arguments, says in ((("task", "shell", plain), b"did not ask for one"),
                                (("task", "shell", ended), b"is not running: it is completed"),
                                (("task", "shell", make_slugid()), b"no task"),
                                (("task", "shell", task, "--run", "4"), b"there is no run 4")):
            answer = gantry(dev, *arguments)
            expect_equal(answer.returncode, 125, f"{arguments}: {answer.stderr}")
            expect(says in answer.stderr, f"{says} in {answer.stderr}")
        # Rights: those of the artifact, no others.
        client = json.loads(dev.call("PUT", "/api/auth/v1/clients/nobody", {
            "expires": stamp(datetime.now(timezone.utc) + timedelta(hours=1)), "description": "", "scopes": ["queue:*-no"]}))
        rights = {"TASKCLUSTER_CLIENT_ID": "nobody", "TASKCLUSTER_ACCESS_TOKEN": client["accessToken"],
                  "GANTRY_URL": f"http://127.0.0.1:{dev.port}"}
        answer = gantry(dev, "task", "shell", task, "--run", "0", "true", **rights)
        expect(answer.returncode == 125 and b"queue:get-artifact:private/docker-worker/shell.html" in answer.stderr,
               f"{answer}")
        dev.call("POST", "/api/auth/v1/clients/nobody", {
            "expires": stamp(datetime.now(timezone.utc) + timedelta(hours=1)), "description": "",
            "scopes": ["queue:get-artifact:private/docker-worker/*"]})
        expect_equal(gantry(dev, "task", "shell", task, "--run", "0", "true", **rights).returncode, 0)
        anonymous = WebSocket(dev, f"/v1/tasks/{task}/runs/0/shell?tty=false&command=true")
        expect_equal(anonymous.status, 403)
        expect_equal(dev.open("GET", f"/v1/tasks/{task}/runs/0/shell").status, 400, "no WebSocket")


def test_ten_sessions_and_no_more():
    with Dev() as dev:
        task = interactive_task(dev)
        target = f"/v1/tasks/{task}/runs/0/shell?tty=false&command=cat"
        sockets = []
        for number in range(10):
            sockets.append(WebSocket.signed(dev, target))
            expect_equal(sockets[-1].status, 101)
            sockets[-1].expect(100)
        one_too_many = WebSocket.signed(dev, target)
        expect_equal(one_too_many.expect(202), b"Too many sessions active!")
        expect_equal(one_too_many.message(), None)
        sockets[4].send(b"\x00hello\n")
        expect_equal(sockets[4].expect(1), b"hello\n")
        sockets[4].close()  # its cat reads the end, and there is room again

        def room():
            again = WebSocket.signed(dev, target)
            return again.message()[0] == 100
        wait_for(room, 10, "room for another one")
        pids = [process[1] for process in dev.engine.call("GET", f"/containers/{dev.wait_running(task)}/top")[1]["Processes"]]
        expect(len(pids) < 25, "no command is left behind")


def test_signed_urls():
    with Dev() as dev:
        task = interactive_task(dev)
        other = interactive_task(dev)
        page = dev.artifact(task, "private/docker-worker/shell.html")
        url = json.loads(page.read())["socketUrl"]
        target = url[len(f"ws://127.0.0.1:{dev.port}"):]
        expect_equal(dev.artifacts(task)["private/docker-worker/shell.html"]["storageType"], "reference")
        shell = WebSocket(dev, target + "?tty=true&command=sh&command=-c&command=stty+size%3B+tty")
        expect_equal(shell.status, 101)
        shell.expect(100)
        shell.send(b"\x32\x10\x00\x40\x01")
        expect(b"/dev/pts" in shell.expect(1) + (shell.message() or b""), "a terminal")
        expect_equal(WebSocket(dev, target.replace(task, other)).status, 403, "of another run")
        expires = target.split("/")[5]
        expect(int(expires) <= time.time() + 45 * 60 + 1, "at most 45 minutes")
        expect_equal(WebSocket(dev, target.replace(expires, str(int(expires) + 1))).status, 403, "a changed time")
        expect_equal(WebSocket(dev, f"/v1/tasks/{task}/runs/0/shell-page").status, 403, "without rights")
        with open(os.path.join(dev.directory, "messages")) as file:
            expect(target.split("/")[6] not in file.read(), "no signature in the log")
        dev.cancel(task)
        dev.wait_resolved(task)
        expect_equal(WebSocket(dev, target).status, 409, "of a run that is over")


def test_a_session_is_for_one_connection():
    with Dev() as dev:
        task = interactive_task(dev)
        shell = WebSocket.signed(dev, f"/v1/tasks/{task}/runs/0/shell?tty=false&command=cat")
        shell.expect(100)
        target = f"/v1/nodes/{dev.agent_id()}/shells/{make_slugid()}"
        expect_equal(WebSocket.signed(dev, target).status, 404, "no such session")
        expect_equal(WebSocket(dev, target).status, 403, "without credentials")


def test_bad_input_ends_a_session_alone():
    with Dev() as dev:
        task = interactive_task(dev)
        target = f"/v1/tasks/{task}/runs/0/shell?tty=false&command=cat"
        good, bad, worse = (WebSocket.signed(dev, target) for _ in range(3))
        for shell in (good, bad, worse):
            shell.expect(100)
        bad.send(b"\xf0nonsense")
        expect_equal(bad.message(), None)
        worse.socket.sendall(b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00")
        expect_equal(worse.message(), None)
        good.send(b"\x32\x10\x00\x40\x01")
        expect_equal(good.expect(202), b"cannot resize, not a tty instance")
        good.send(b"\x00x\n")
        expect_equal(good.expect(1), b"x\n")
        good.send(b"\x66")
        expect_equal(good.expect(200), b"\x00")
        expect_equal(good.message(), None)


def test_a_restart_ends_shells_and_gives_new_ones():
    with Dev() as dev:
        task = interactive_task(dev)
        terminal = Terminal(dev, "task", "shell", task)
        terminal.see(rb"/ # ")
        dev.kill()
        expect_equal(terminal.exit_code(), 125, "the connection is lost")
        dev.start()

        def answers():
            answer = gantry(dev, "task", "shell", task, "echo", "again")
            return answer.returncode == 0 and answer.stdout == b"again\n"
        wait_for(answers, 20, "a shell after the restart")
        killed = Terminal(dev, "task", "shell", task)
        killed.see(rb"/ # ")
        os.kill(killed.pid, signal.SIGTERM)
        expect_equal(killed.exit_code(), -signal.SIGTERM)


run_tests(globals())
