#!/usr/bin/env python3
"""An agent whose machine's clock is wrong, by minutes and by hours, both ways: it joins, runs tasks, and says so.

Only that process sees the wrong clock: a small library, compiled here with clang-19 or cc, is loaded before libc."""

import signal
import subprocess

from agent_world import *

POOL = "team/linux"
SHIM = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long shift(void) {
  const char* text = getenv("CLOCK_SHIFT");
  return text ? atol(text) : 0;
}
int clock_gettime(clockid_t clock, struct timespec* out) {
  int result = (int)syscall(SYS_clock_gettime, clock, out);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) out->tv_sec += shift();
  return result;
}
int gettimeofday(struct timeval* restrict out, void* restrict zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
"""


class ClockServer(Server):
    def gantry(self, *words):
        done = subprocess.run([GANTRY, *words, "--data-dir", self.directory], capture_output=True, text=True, timeout=60)
        expect_equal(done.returncode, 0, done.stderr)
        return done.stdout + done.stderr

    def token(self):
        path = os.path.join(self.directory, "token")
        with open(path, "w") as file:
            done = subprocess.run([GANTRY, "node", "token", "--pool", POOL, "--data-dir", self.directory], stdout=file,
                                  stderr=subprocess.PIPE, text=True, timeout=60)
        expect_equal(done.returncode, 0, done.stderr)
        return path


class ShiftedAgent:
    def __init__(self, server, shift_seconds):
        self.server = server
        self.directory = os.path.join(server.directory, f"agent-{shift_seconds}")
        os.makedirs(self.directory)
        self.messages = os.path.join(self.directory, "messages")
        shim = os.path.join(self.directory, "clock.so")
        compiler = shutil.which("clang-19") or shutil.which("cc")
        subprocess.run([compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", shim], input=SHIM, text=True, check=True)
        self.environment = dict(os.environ, LD_PRELOAD=shim, CLOCK_SHIFT=str(shift_seconds))
        self.name = f"shifted-{shift_seconds}".replace("--", "-back-")

    def __enter__(self):
        command = [GANTRY, "agent", "--server", f"http://127.0.0.1:{self.server.port}", "--data-dir",
                   os.path.join(self.directory, "data"), "--name", self.name, "--slots", "1", "--join-token-file",
                   self.server.token()]
        with open(self.messages, "ab") as messages:
            self.process = subprocess.Popen(command, stdout=messages, stderr=messages, env=self.environment)
        return self

    def __exit__(self, kind, error, trace):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        if error:
            print(self.text())

    def text(self):
        with open(self.messages, errors="replace") as file:
            return file.read()

    def node(self):
        found = [node for node in self.server.get("/v1/nodes")["nodes"] if node["name"] == self.name]
        return found[0] if found and found[0].get("lastPollMsAgo", 99999) < 15000 else None


def live_with(shift_seconds, ahead_text):
    with ClockServer() as server, ShiftedAgent(server, shift_seconds) as agent:
        task = server.create("echo", "hello", queue=POOL)
        ended = server.wait_resolved(task)
        expect_equal((ended["state"], len(ended["runs"])), ("completed", 1), agent.text())
        node = wait_for(lambda: (agent.node() or {}).get("clockAheadMs") and agent.node(), 30, "the node tells its clock")
        off = abs(node["clockAheadMs"] - shift_seconds * 1000)
        expect(off < 2500, f"{node['clockAheadMs']} ms told, {shift_seconds} s meant")
        # A reclaim, and a log, an artifact and a cancel with the server's time.
        task = server.create("sh", "-c", "sleep 3; echo done", queue=POOL)
        expect_equal(server.wait_resolved(task)["state"], "completed", agent.text())
        expect(b"done" in server.log(task), server.log(task))
        told = agent.text()
        expect_equal(told.count("this machine's clock is"), 1, told)
        expect(f"{'ahead of' if shift_seconds > 0 else 'behind'} the server's" in told, told)
        listed = server.gantry("nodes")
        expect(re.search(rf"{agent.name}: clock {ahead_text}", listed), listed)
        print(f"       {shift_seconds} s: told {node['clockAheadMs']} ms, off by {off} ms")


def test_five_minutes_ahead():
    live_with(300, r"(5m00s|4m5\ds|5m01s) ahead")


def test_five_minutes_behind():
    live_with(-300, r"(5m00s|4m5\ds|5m01s) behind")


def test_hours_ahead():
    live_with(3 * 3600, r"(3h00m|2h59m) ahead")


def test_hours_behind():
    live_with(-3 * 3600, r"(3h00m|2h59m) behind")


def test_a_clock_in_step_is_not_told():
    with ClockServer() as server, ShiftedAgent(server, 0) as agent:
        task = server.create("true", queue=POOL)
        expect_equal(server.wait_resolved(task)["state"], "completed", agent.text())
        expect("clockAheadMs" not in agent.node(), agent.node())
        expect("clock is" not in agent.text(), agent.text())


run_tests(globals())
