#!/usr/bin/env python3
"""Attacks from inside a task, each with what stops it (docs/isolation.md).

On an engine of the test's own: this program enters its network namespace, so that the rules which are tried are of that
namespace, and no other container is in reach. Needs root.
"""

import ctypes
import threading
import http.server

from agent_world import *
from own_dockerd import Dockerd

CLONE_NEWNET = 0x40000000
METADATA = "169.254.169.254"
FORWARDED_METADATA = "169.254.170.2"  # reached through an interface, not at one
WGET = "timeout 4 wget -q -O -"
REFUSED = b"Connection refused"  # what the rules' answer becomes


def enter(path):
    with open(path) as namespace:
        switch_to(namespace)


def switch_to(namespace):
    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"setns {namespace.name}")


class Inside:
    """An engine in a network namespace of its own, and this thread, with all that it starts, in there, too."""

    def __enter__(self):
        self.home = open("/proc/thread-self/ns/net")
        self.dockerd = Dockerd()
        try:
            self.dockerd.start()
            enter(f"/proc/{self.dockerd.holder.pid}/ns/net")
            self.dockerd.make_image()
        except BaseException:
            self.__exit__()
            raise
        return self.dockerd

    def __exit__(self, *_):
        switch_to(self.home)
        self.home.close()
        self.dockerd.end()


class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"the machine's own")

    def log_message(self, *_):
        pass


def serve(address, port):
    server = http.server.ThreadingHTTPServer((address, port), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def run_command(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def ended(dev, task, state=None):
    got = dev.wait_resolved(task)
    if state:
        expect_equal(got["state"], state, dev.log(task).decode(errors="replace"))
    return dev.output(task)


def gateway_of(dockerd):
    return dockerd.call("GET", "/networks/gantry-tasks")[1]["IPAM"]["Config"][0]["Gateway"]


def refused_by_reject(chain, what):
    """How many packets the chain's rule has refused."""
    lines = run_command("iptables", "-w", "5", "-nvxL", chain).splitlines()
    return sum(int(line.split()[0]) for line in lines if what in line)


def this_machine(dockerd, dev):
    gateway = gateway_of(dockerd)
    server = serve("0.0.0.0", 2375)  # where an engine's TCP port would be
    run_command("ip", "addr", "replace", METADATA + "/32", "dev", "lo")
    try:
        for address in (gateway, METADATA):
            before = refused_by_reject("GANTRY-TASKS-IN", "REJECT")
            output = ended(dev, dev.shell(f"{WGET} http://{address}:2375/ 2>&1"), "failed")
            expect(REFUSED in output and b"machine's own" not in output, output)
            expect(refused_by_reject("GANTRY-TASKS-IN", "REJECT") > before, "it was the rule")
    finally:
        server.shutdown()
        server.server_close()


def metadata_that_is_elsewhere(dockerd, dev):
    run_command("ip", "link", "add", "cloud0", "type", "veth", "peer", "name", "cloud1")
    for name in ("cloud0", "cloud1"):
        run_command("ip", "link", "set", name, "up")
    run_command("ip", "route", "replace", FORWARDED_METADATA + "/32", "dev", "cloud0")
    before = refused_by_reject("GANTRY-TASKS-OUT", "REJECT")
    output = ended(dev, dev.shell(f"{WGET} http://{FORWARDED_METADATA}/latest/meta-data/ 2>&1"), "failed")
    expect(REFUSED in output, output)
    expect(refused_by_reject("GANTRY-TASKS-OUT", "REJECT") > before, "it was the rule")


def rules_that_are_taken_away(dockerd, dev):
    run_command("iptables", "-w", "5", "-F", "GANTRY-TASKS-IN")
    run_command("iptables", "-w", "5", "-F", "DOCKER-USER")

    def back():
        rules = run_command("iptables", "-w", "5", "-S")
        return "GANTRY-TASKS-IN -m comment --comment gantry -j REJECT" in rules and \
            re.search(r"-A DOCKER-USER -i br-\w+ .*-j GANTRY-TASKS-OUT", rules)
    wait_for(back, 45, "the agent's upkeep puts them back")


def another_tasks_container(dockerd, dev):
    victim = dev.shell("mkdir /www; echo secret > /www/index.html; httpd -f -p 8000 -h /www & sleep 300")
    container = dev.wait_running(victim)
    address = dockerd.inspect(container)["NetworkSettings"]["Networks"]["gantry-tasks"]["IPAddress"]
    wait_for(lambda: reaches(address), 10, "it serves: from the machine it is reached")
    name = dockerd.inspect(container)["Name"].strip("/")
    for where in (address, name):
        output = ended(dev, dev.shell(f"{WGET} http://{where}:8000/ 2>&1"), "failed")
        expect(b"secret" not in output, output)
    # No raw sockets: what is on the wire can be neither read nor forged.
    output = ended(dev, dev.shell(f"arping -c 1 -w 2 -I eth0 {address} 2>&1"), "failed")
    expect(b"not permitted" in output, output)
    dev.cancel(victim)


def reaches(address):
    try:
        connection = http.client.HTTPConnection(address, 8000, timeout=2)
        connection.request("GET", "/")
        return b"secret" in connection.getresponse().read()
    except OSError:
        return False


def the_proxy_is_a_door_for_its_task_alone(dockerd, dev):
    ask = "$TASKCLUSTER_PROXY_URL/api/queue/v1/task/$TASK_ID"
    own = dev.shell(f"echo at $TASKCLUSTER_PROXY_URL; grep taskcluster /etc/hosts; {WGET} {ask} && sleep 60",
                    features={"taskclusterProxy": True}, scopes=["queue:get-task:*"])
    dev.wait_running(own)
    wait_for(lambda: b'"taskQueueId"' in dev.output(own), 20, "through the rules its own task reaches it")
    text = dev.output(own).decode()
    port = urllib.parse.urlsplit(re.search(r"at (\S+)", text).group(1)).port or 80
    output = ended(dev, dev.shell(f"timeout 4 wget -S -O - http://{gateway_of(dockerd)}:{port}/api/queue/v1/task/{own} 2>&1"), "failed")
    expect(b"403" in output and b"taskQueueId" not in output, output)
    dev.cancel(own)


def anothers_cache(dockerd, dev):
    scope = "docker-worker:cache:mine"
    ended(dev, dev.shell("echo secret > /c/file", cache={"mine": "/c"}, scopes=[scope]), "completed")
    volume = next(v["Name"] for v in dev.volumes())
    log = ended_log(dev, dev.shell("cat /c/file", cache={"mine": "/c"}), "failed")
    expect(b"Insufficient scopes to attach cache" in log, log)
    # A cache that is called as the other's volume is: it is a volume of its own, and empty.
    output = ended(dev, dev.shell("ls /c; cat /c/file", cache={volume: "/c"}, scopes=["docker-worker:cache:*"]), "failed")
    expect(b"secret" not in output, output)


def ended_log(dev, task, state):
    ended(dev, task, state)
    return dev.log(task)


def files_of_the_machine(dockerd, dev):
    for script, said in [("ls /var/run/docker.sock /run/docker.sock", b"No such file"),
                         ("echo 1 > /proc/sys/kernel/panic", b"Read-only file system"),
                         ("mount -t tmpfs none /tmp", b"denied|not permitted|must be superuser"),
                         ("mount -o remount,rw /proc/sys", b"denied|not permitted|must be superuser"),
                         ("mknod /tmp/disk b 8 0 && cat /tmp/disk", b"not permitted|No such device"),
                         ("ip link set eth0 down", b"not permitted"),
                         ("hostname other", b"not permitted|must be superuser")]:
        output = ended(dev, dev.shell(f"{script} 2>&1"), "failed")
        expect(re.search(said, output), f"{script}: {output!r}")
    output = ended(dev, dev.shell("grep NoNewPrivs /proc/self/status; grep CapEff /proc/self/status"), "completed")
    expect(re.search(rb"NoNewPrivs:\s+1", output), output)
    effective = int(re.search(rb"CapEff:\s+([0-9a-f]+)", output).group(1), 16)
    for name, number in [("NET_ADMIN", 12), ("NET_RAW", 13), ("SYS_MODULE", 16), ("SYS_PTRACE", 19), ("SYS_ADMIN", 21)]:
        expect(not effective >> number & 1, f"CAP_{name}: {effective:x}")


def bombs(dockerd, dev):
    forks = dev.shell("i=0; while [ $i -lt 200 ]; do sleep 20 & i=$((i+1)); done; echo all 200 run", resources={"pids": 40})
    output = ended(dev, forks, "failed")
    expect(b"can't fork" in output and b"all 200" not in output, output)
    memory = dev.create("tail", "/dev/zero", resources={"memory": 32 << 20})
    log = ended_log(dev, memory, "failed")
    expect(b"Out of memory" in log, log)
    shm = dev.shell("dd if=/dev/zero of=/dev/shm/x bs=1M count=8 2>&1", resources={"shm": "2m"})
    expect(b"No space left" in ended(dev, shm, "failed"), dev.log(shm))


def test_attacks_from_inside_a_task():
    with Inside() as dockerd:
        with Dev(engine=dockerd) as dev:
            ended(dev, dev.create("true"), "completed")
            for attack in (this_machine, metadata_that_is_elsewhere, another_tasks_container,
                           the_proxy_is_a_door_for_its_task_alone, anothers_cache, files_of_the_machine, bombs,
                           rules_that_are_taken_away, this_machine):
                began = time.monotonic()
                attack(dockerd, dev)
                print(f"       {attack.__name__.replace('_', ' ')} ({time.monotonic() - began:.1f} s)", flush=True)
            dev.expect_nothing_left()


def test_without_the_rules_the_machine_is_open():
    """So that the test above means something."""
    with Inside() as dockerd:
        with Dev(engine=dockerd, arguments=["--no-firewall"]) as dev:
            ended(dev, dev.create("true"), "completed")
            server = serve("0.0.0.0", 2375)
            output = ended(dev, dev.shell(f"{WGET} http://{gateway_of(dockerd)}:2375/"), "completed")
            server.shutdown()
            server.server_close()
            expect(b"the machine's own" in output, output)
            expect("GANTRY" not in run_command("iptables", "-w", "5", "-S"), "no rules")


def test_where_rules_cannot_be_the_agent_says_so_and_works():
    """An engine whose network is not on the agent's machine, as it were: in a namespace that the agent is not in."""
    dockerd = Dockerd()
    try:
        dockerd.start()
        dockerd.make_image()
        with Dev(engine=dockerd) as dev:
            ended(dev, dev.create("true"), "completed")
            with open(os.path.join(dev.directory, "messages")) as file:
                messages = file.read()
            expect_equal(messages.count("firewall: tasks are not kept from this machine"), 1, messages)
            expect("the container engine's network is not on this machine" in messages, messages)
    finally:
        dockerd.end()


if __name__ == "__main__":
    run_tests(globals())
