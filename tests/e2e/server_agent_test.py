"""`gantry server` and `gantry agent` as processes of their own, over TLS: joining, restarts, refusals."""

import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request

from world import IMAGE, expect, expect_in, free_port, wait_for

POOL = "team/linux"


def openssl(*words):
    done = subprocess.run(["openssl", *words], capture_output=True, text=True)
    expect(done.returncode, 0, done.stderr)


def make_authority(directory):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=gantry test authority", "-keyout", directory / "ca.key", "-out", directory / "ca.pem")


def make_certificate(directory, name="localhost"):
    (directory / "names").write_text(f"subjectAltName=DNS:{name}\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=gantry", "-keyout",
            directory / "key.pem", "-out", directory / "request")
    openssl("x509", "-req", "-in", directory / "request", "-CA", directory / "ca.pem", "-CAkey", directory / "ca.key",
            "-CAcreateserial", "-days", "1", "-extfile", directory / "names", "-out", directory / "cert.pem")


def remove_containers(agent_id):
    """Those that a failed test has left behind."""
    if agent_id.exists():
        label = f"label=gantry.agent={agent_id.read_text().strip()}"
        left = subprocess.run(["docker", "ps", "-aq", "--filter", label], capture_output=True, text=True).stdout.split()
        if left:
            subprocess.run(["docker", "rm", "-f", *left], capture_output=True)


class Process:
    """One `gantry server` or `gantry agent`, its output in a file."""

    def __init__(self, world, greeting, *words, env=None):
        self.world, self.greeting, self.words, self.env = world, greeting, words, env or {}
        self.log = world.directory(words[0]) / "log"
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            at = log.tell()
            self.process = subprocess.Popen([self.world.gantry, *self.words], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL,
                                            env={**self.world.environment(self.log.parent / "none"), **self.env})

        def greeted():
            text = self.log.read_bytes()[at:].decode()
            if self.process.poll() is not None:
                raise AssertionError(f"gantry {self.words[0]} ended with {self.process.returncode}: {text}")
            return text if self.greeting in text else None

        return wait_for(f"gantry {self.words[0]} greets", greeted)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=60)


class Team:
    """A server with TLS and the ways to reach it."""

    def __init__(self, world):
        self.world = world
        self.files = world.directory("tls")
        make_authority(self.files)
        make_certificate(self.files)
        self.data = world.directory("server") / "data"
        port = free_port()
        self.url = f"https://localhost:{port}"
        self.server = Process(world, "\nMake machines", "server", "--data-dir", self.data, "--listen", f"127.0.0.1:{port}",
                              "--public-url", self.url, "--tls-cert", self.files / "cert.pem", "--tls-key",
                              self.files / "key.pem")
        self.agents = []

    def call(self, *words, **more):
        return self.world.call(*words, data=self.data, env={"GANTRY_CA": str(self.files / "ca.pem")}, **more)

    def token(self, *options):
        made = self.call("node", "token", "--pool", POOL, *options)
        expect(made.code, 0, made.err)
        expect_in(f"gantry agent --server {self.url}", made.err)
        path = self.world.directory("token") / "token"
        path.write_text(made.text)
        return path

    def agent_words(self, name, data, *options):
        return ["agent", "--server", self.url, "--tls-ca", self.files / "ca.pem", "--data-dir", data, "--name", name,
                "--slots", "2", *options]

    def agent(self, name, *options, data=None):
        data = data or self.world.directory(name) / "data"
        agent = Process(self.world, "\n  engine ", *self.agent_words(name, data, *options))
        agent.data = data
        self.agents.append(agent)
        return agent

    def nodes(self):
        listed = self.call("nodes", "--output", "json")
        expect(listed.code, 0, listed.err)
        return {node["name"]: node for node in listed.json()}

    def wait_for_nodes(self, *names):
        def there():
            nodes = self.nodes()
            return all(name in nodes and nodes[name].get("lastPollMsAgo", 99999) < 12000 for name in names)

        wait_for(f"nodes {names}", there)

    def run(self, script, *options):
        return self.call("run", "--queue", POOL, *options, IMAGE, "sh", "-c", script)

    def close(self):
        for agent in self.agents:
            if agent.process and agent.process.poll() is None:
                agent.stop()
            remove_containers(agent.data / "agent-id")
        if self.server.process and self.server.process.poll() is None:
            self.server.stop()


def refused(world, *words, env=None):
    done = world.call(*words, env=env, data=world.scratch / "none")
    expect((done.code, done.out), (1, b""), done.err)
    return done.err


def test_server_and_two_agents_over_tls(world):
    team = Team(world)
    try:
        team.server.start()
        live_through_it(world, team)
    finally:
        team.close()


def live_through_it(world, team):
    expect((team.data / "credentials.json").stat().st_mode & 0o777, 0o600)
    # Who is not believed, and who does not speak TLS, is told what to do.
    stranger = world.call("nodes", data=team.data)
    expect(stranger.code, 1)
    expect_in("--tls-ca FILE or $GANTRY_CA", stranger.err)
    expect_in("not for 127.0.0.1", world.call("nodes", "--url", team.url.replace("localhost", "127.0.0.1"), "--tls-ca",
                                              team.files / "ca.pem", data=team.data).err)
    plain = urllib.request.Request(team.url.replace("https", "http"))
    try:
        urllib.request.urlopen(plain)
        raise AssertionError("plain HTTP was answered")
    except urllib.error.HTTPError as error:
        expect(error.code, 400)
        expect_in("use https://", error.read().decode())

    # Two machines join.
    one = team.agent("one", "--join-token-file", team.token())
    two = team.agent("two", "--join-token-file", team.token(), "--pool", POOL)
    one.start()
    two.start()
    team.wait_for_nodes("one", "two")
    expect((one.data / "enrolment.json").stat().st_mode & 0o777, 0o600)
    before = (one.data / "enrolment.json").read_text()
    done = team.run("echo from $TASKCLUSTER_ROOT_URL; echo made > /made.txt", "--artifact", "public/made.txt=/made.txt")
    expect(done.code, 0, done.err)
    expect(done.text, f"from {team.url}\n")
    task = done.err.split("task ")[1].split(":")[0]
    expect(team.call("task", "download", task, "public/made.txt", "--file", "-").text, "made\n")
    expect(team.call("run", "--queue", POOL, IMAGE, "sh", "-c", "exit 3").code, 3)

    # An agent that starts again needs no token, and keeps what it had.
    expect(one.stop(), 0)
    one.words = tuple(team.agent_words("one", one.data))
    one.start()
    team.wait_for_nodes("one")
    expect((one.data / "enrolment.json").read_text(), before)

    # A server that starts again, by kill and by SIGTERM, finds its nodes again.
    for number in (signal.SIGKILL, signal.SIGTERM):
        expect(team.server.stop(number), -signal.SIGKILL if number == signal.SIGKILL else 0)
        team.server.start()
        team.wait_for_nodes("one", "two")
        expect(team.run("echo again").text, "again\n")

    new_certificate(team)
    refusals(world, team, one)
    take_over(world, team, one, two)
    removed_for_good(world, team, two)
    limited_token(world, team)


def certificate_seen(team):
    context = ssl.create_default_context(cafile=str(team.files / "ca.pem"))
    port = int(team.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            return secure.getpeercert()["serialNumber"]


def new_certificate(team):
    """SIGHUP reads it again while a run's log is followed."""
    before = certificate_seen(team)
    follower = subprocess.Popen([team.world.gantry, "run", "--queue", POOL, IMAGE, "sh", "-c", "echo a; sleep 3; echo b"],
                                env={**team.world.environment(team.data), "GANTRY_CA": str(team.files / "ca.pem")},
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    expect(follower.stdout.readline(), b"a\n")
    make_certificate(team.files)
    team.server.process.send_signal(signal.SIGHUP)
    wait_for("the new certificate", lambda: certificate_seen(team) != before)
    expect(follower.stdout.read(), b"b\n")
    expect(follower.wait(timeout=60), 0)
    (team.files / "cert.pem").write_text("nonsense\n")
    team.server.process.send_signal(signal.SIGHUP)
    wait_for("the log says so", lambda: "stays the one that was read before" in team.server.log.read_text())
    expect(team.run("echo still").text, "still\n")
    make_certificate(team.files)


def refusals(world, team, one):
    wrong = world.directory("wrong") / "token"
    wrong.write_text("gantry-join.e30.AAAA\n")
    nowhere = world.directory("nowhere") / "data"
    expect_in("not one of this server's", refused(world, *team.agent_words("x", nowhere, "--join-token-file", wrong)))
    expect_in("node token", refused(world, *team.agent_words("x", nowhere)))
    expect_in("not one of this server's",
              refused(world, *team.agent_words("x", nowhere), env={"GANTRY_JOIN_TOKEN": "gantry-join.e30.AAAA"}))
    expect_in("another agent runs on", refused(world, *team.agent_words("one", one.data)))
    expect_in("is a node of team/linux, not of other/pool",
              stopped_agent(world, team, one, "--pool", "other/pool"))
    expect_in("is at work", team.call("node", "remove", "one").err)
    expect_in("there is no node", team.call("node", "remove", "nobody").err)
    secret = team.token().read_text().strip()
    for log in (team.server.log, one.log):
        expect(secret.split(".")[1] in log.read_text(), False, "no token in a log")
    for words in (["server"], ["dev"]):
        said = refused(world, *words, "--data-dir", world.directory("open") / "data", "--listen", "0.0.0.0:0")
        expect_in("nothing would be encrypted", said)
        for way in ("--insecure", "--tls-cert", "127.0.0.1"):
            expect_in(way, said)
    expect(world.call("server", "--tls-cert", team.files / "cert.pem").code, 2)
    expect_in("no certificate", refused(world, "server", "--data-dir", world.directory("bad") / "data", "--listen",
                                        "127.0.0.1:0", "--tls-cert", wrong, "--tls-key", team.files / "key.pem"))


def stopped_agent(world, team, agent, *options):
    """What an agent says that is started with these on a directory whose own agent rests meanwhile."""
    expect(agent.stop(), 0)
    said = refused(world, *team.agent_words("one", agent.data, *options))
    agent.start()
    team.wait_for_nodes("one")
    return said


def take_over(world, team, one, two):
    """A machine that lost its disk joins again under its name; one that is gone is removed."""
    one.process.kill()
    one.process.wait()
    token = team.token()
    again = team.agent("one", "--join-token-file", token)
    old_id = team.nodes()["one"]["id"]
    again.start()  # waits for as long as the old one may come back
    wait_for("the new node", lambda: team.nodes()["one"]["id"] != old_id)
    expect(team.run("echo taken over").text, "taken over\n")
    two.stop()
    removed = wait_for("the silence of two", lambda: (lambda e: e if e.code == 0 else None)(team.call("node", "remove", "two")))
    expect_in("is removed", removed.err)
    expect(list(team.nodes()), ["one"])


def removed_for_good(world, team, two):
    """Its credentials are of no use any more, over a restart of the server too; a new token lets it in again."""
    two.words = tuple(team.agent_words("two", two.data))
    for number in (None, signal.SIGKILL):
        if number:
            team.server.stop(number)
            team.server.start()
        two.start()
        wait_for("it is refused", lambda: "node/team/linux/two was removed" in two.log.read_text())
        expect(list(team.nodes()), ["one"])
        two.stop()
        two.log.write_text("")
    two.words = tuple(team.agent_words("two", two.data, "--join-token-file", team.token("--uses", "1")))
    two.start()
    team.wait_for_nodes("one", "two")
    two.stop()


def limited_token(world, team):
    """A token for two machines; what was used stays used when the server is killed."""
    made = team.call("node", "token", "--pool", POOL, "--uses", "2")
    expect_in(", for 2 machines. On the new node:", made.err)
    path = world.directory("limited") / "token"
    path.write_text(made.text)
    three = team.agent("three", "--join-token-file", path)
    three.start()
    team.server.stop(signal.SIGKILL)
    team.server.start()
    four = team.agent("four", "--join-token-file", path)
    four.start()
    team.wait_for_nodes("three", "four")
    said = refused(world, *team.agent_words("five", world.directory("five") / "data", "--join-token-file", path))
    expect_in("the join token is used up: it was for 2 machines", said)
    expect_in("gantry node token", said)
    for uses in ("0", "1001", "some"):
        expect(team.call("node", "token", "--pool", POOL, "--uses", uses).code in (1, 2), True, uses)
    expect_in("for one machine", team.call("node", "token", "--pool", POOL, "--uses", "1").err)
